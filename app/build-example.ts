// Maps the example when the page is built, by the same code as the page, and writes it as a saved session
// with two pictures for the start of the page. The kernels are the plain ones: the same bytes on every
// machine.
//   tsx app/build-example.ts FOLDER
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AnnData, findMarkers, inspect, markerTable, ScPoli, type Note } from "scpoli";
import { newDataFile, queryConditions } from "./conditions.js";
import { exampleFiles, exampleRequest, sessionName } from "./example-files.js";
import { examplePicture } from "./example-picture.js";
import type { DataInfo, MappingResult, MapRequest, MarkerRow, ModelInfo } from "./protocol.js";
import { packSession } from "./session-file.js";
import { modelInfo, resultOf } from "./worker/result.js";

const data = (name: string): string => fileURLToPath(new URL(`../data/${name}`, import.meta.url));
const shownMarkers = 50;

async function infoOf(cells: AnnData): Promise<DataInfo> {
  const notes: Note[] = [];
  return {
    name: exampleFiles.query,
    bytes: statSync(data(exampleFiles.query)).size,
    format: cells.format,
    inspection: await inspect(cells, (note) => void notes.push(note)),
    notes,
    embeddings: cells.obsmKeys,
  };
}

/** The mapped example, and the model that the mapping made. */
async function mapped(
  reference: ScPoli,
  model: ModelInfo,
  cells: AnnData,
  request: MapRequest,
): Promise<MappingResult> {
  const mapping = await reference.map(cells, request);
  const name = `${model.name}-with-query`;
  const folder = mkdtempSync(join(tmpdir(), "scpoli-example-"));
  try {
    await mapping.model.save(join(folder, `${name}.zip`));
    const file = new File([readFileSync(join(folder, `${name}.zip`))], `${name}.zip`, {
      type: "application/zip",
    });
    return await resultOf(mapping, cells, name, [{ path: `${name}.zip`, file }], request);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function buildExample(folder: string): Promise<void> {
  const reference = await ScPoli.load(data(exampleFiles.model));
  const cells = await AnnData.open(data(exampleFiles.query));
  const model = modelInfo(
    reference,
    exampleFiles.model
      .split("/")
      .at(-1)!
      .replace(/\.zip$/, ""),
    [],
    "scpoli",
  );
  const query = newDataFile([], await infoOf(cells), model);
  const request = {
    ...queryConditions(query, Object.keys(model.summary.conditions)),
    ...exampleRequest,
  };
  const result = await mapped(reference, model, cells, request);
  const { found, model: genes, matched, missing } = await reference.coverage(cells);
  const clusters = result.clusters!;
  const markers = await findMarkers(cells, {
    codes: { codes: clusters.codes, names: clusters.numbers.map(String) },
  });
  cells.close();
  const { files: _, ...opened } = query;
  const bytes = await packSession({
    query: { ...opened, coverage: { found, model: genes, matched, missing } },
    model,
    result,
    request,
    annotation: null,
    view: {
      colourBy: { kind: "predicted", level: 0 },
      thresholds: result.levels.map(({ threshold }) => threshold),
    },
    answers: {
      clusterMarkers: {
        title: "cluster",
        rows: markerTable(markers, { top: shownMarkers }) as unknown as MarkerRow[],
      },
    },
  });
  writeFileSync(join(folder, sessionName), bytes);
  for (const paper of ["light", "dark"] as const)
    writeFileSync(join(folder, `example-${paper}.svg`), examplePicture(result, paper));
}

await buildExample(process.argv[2]!);
