// The Methods text of a report describes what was done, and nothing else; a mapping without training keeps
// everything that it inherits from the reference.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { AnnData, makeReport, ScPoli, type MapOptions, type TrainOptions } from "../dist/index.js";
import { folder, makeAtlas } from "./atlas.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const train: TrainOptions = {
  conditionKeys: ["donor"],
  cellTypeKeys: ["cell_type"],
  hiddenLayerSizes: [8],
  epochs: 6,
};
const reference = await makeAtlas("reference", { cells: 240, genes: 40, conditions: ["d1", "d2"] });
const query = await makeAtlas("query", { cells: 60, genes: 40, conditions: ["q1", "q2"], seed: 2 });
const model = await ScPoli.train(reference, { ...train, earlyStopping: false });

function methodsOf(html: string): string {
  return /id="methods-text">(.*?)<\/blockquote>/s.exec(html)![1]!.replace(/<[^>]*>/g, " ");
}
/** The Methods text of a reference, and of a query mapped onto it. */
async function methods(by: ScPoli, options: MapOptions | null): Promise<string> {
  if (!options) return methodsOf(await makeReport({ model: by }));
  const output = at("mapped.h5ad");
  const mapping = await by.map(query, { epochs: 2, ...options, output, force: true });
  return methodsOf(await makeReport({ model: mapping.model, mapped: await AnnData.open(output) }));
}

describe("the Methods text says", () => {
  test("which weights were kept", async () => {
    assert.match(await methods(model, null), /; the weights of the last epoch were kept\./);
    const { json, tensors } = model.stored;
    const stopped = (losses: object) =>
      makeReport({
        model: {
          stored: {
            json: {
              ...json,
              provenance: {
                ...json.provenance,
                best_epoch: 4,
                epochs_run: 6,
                losses,
                optimization: { earlyStopping: { metric: "prototype" } },
              },
            },
            tensors,
          },
        },
      });
    const validated = methodsOf(await stopped({ train: {}, validation: {} }));
    assert.match(
      validated,
      /the weights of epoch 4, which had the lowest prototype loss on the validation cells,/,
    );
    assert.match(methodsOf(await stopped({ train: {} })), /loss on the training cells,/);
  });

  test("how conditions enter", async () => {
    assert.match(await methods(model, null), /and condition embeddings of 10 dimensions\. /);
    const oneHot = await ScPoli.train(reference, { ...train, conditionEncoding: "one-hot" });
    const text = await methods(oneHot, {});
    assert.match(text, /and one-hot encoded conditions\. /);
    assert.doesNotMatch(text, /embedding/);
    assert.match(text, /the input weights of the new conditions and the inverse dispersions of their/);
  });

  test("which parameters a mapping learnt", async () => {
    const trained = await methods(model, {});
    assert.match(
      trained,
      /embeddings of the new conditions and the inverse dispersions of their combinations/,
    );
    const untrained = await methods(model, { training: false });
    assert.match(
      untrained,
      /without training: each new condition got the parameters of the reference condition/,
    );
    assert.doesNotMatch(untrained, /surgery|were learnt/);
  });

  test("where labels come from", async () => {
    const byHead = await methods(model, { classifier: "head" });
    assert.match(byHead, /predicted by a multinomial logistic regression .* \(not part of ref\. 1\)/);
    assert.doesNotMatch(byHead, /transferred/);
    const byPrototype = await methods(model, {});
    assert.match(byPrototype, /transferred from the nearest prototype \(ref\. 1\)/);
    assert.doesNotMatch(byPrototype, /regression/);
  });
});

test("without training, new columns of theta are copied from the matched reference conditions", async () => {
  const { model: mapped, report } = await model.map(query, { training: false });
  const { shape, data } = mapped.stored.tensors.get("theta")!;
  const [genes, columns] = [shape[0]!, shape[1]!];
  assert.equal(columns, 4);
  for (const { condition, nearest } of report.conditions) {
    const row = mapped.stored.json.conditions[0]!.indexOf(condition);
    const from = mapped.stored.json.conditions[0]!.indexOf(nearest!);
    for (let gene = 0; gene < genes; gene++)
      assert.equal(data[gene * columns + row], data[gene * columns + from], `${condition}, gene ${gene}`);
  }
});
