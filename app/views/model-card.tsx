// A model in short: what it was built from, what it knows.
import { LossChart } from "../charts/losses.js";
import { Icon } from "../icons.js";
import type { ModelInfo } from "../protocol.js";
import { count, counted } from "../text.js";
import { Facts } from "./controls.js";

const origins = {
  scpoli: "scPoli model",
  scarches: "model of scArches, imported",
  "trained here": "trained here",
  "mapped here": "extended here with the query",
} as const;

export function ModelCard({ model }: { readonly model: ModelInfo }) {
  const { summary, name, origin, history } = model;
  return (
    <div class="data">
      <p class="name">
        <Icon name="folder" />
        <strong>{name}</strong>
        <span class="hint">{origins[origin]}</span>
      </p>
      <Facts
        facts={[
          ["Cells", summary.cells === null ? "not known" : count(summary.cells)],
          ["Genes", count(summary.genes)],
          ["Latent", `${summary.model.latent_dim} dimensions`],
          ["Likelihood", summary.model.recon_loss],
          ...Object.entries(summary.conditions).map(
            ([key, names]) => [key, counted(names.length, "sample"), names.join(", ")] as const,
          ),
        ]}
      />
      {Object.entries(summary.cell_types).map(([level, types]) => (
        <Types key={level} level={level} types={types} />
      ))}
      {history.length > 1 && (
        <details class="more">
          <summary>Training: {counted(history.length, "epoch")}</summary>
          <LossChart
            epochs={history.map((losses, epoch) => ({ epoch: epoch + 1, losses }))}
            planned={history.length}
          />
        </details>
      )}
    </div>
  );
}

function Types({
  level,
  types,
}: {
  readonly level: string;
  readonly types: ModelInfo["summary"]["cell_types"][string];
}) {
  return (
    <details class="more" open={Object.keys(types).length <= 12}>
      <summary>
        {level}: {counted(Object.keys(types).length, "cell type")}
      </summary>
      <ul class="types">
        {Object.entries(types)
          .sort(([, a], [, b]) => b - a)
          .map(([type, cells]) => (
            <li key={type}>
              <span>{type}</span>
              {cells > 0 && <span class="hint">{count(cells)}</span>}
            </li>
          ))}
      </ul>
    </details>
  );
}
