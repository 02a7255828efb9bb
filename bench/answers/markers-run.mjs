// One run of findMarkers in a separate process: node bench/answers/markers-run.mjs FILE COLUMN LAYER MEMORY
// OUT.json writes scores, and prints seconds and peak memory.
import { writeFileSync } from "node:fs";
import { AnnData, findMarkers } from "../../dist/index.js";

const [path, groups, layer, memory, output] = process.argv.slice(2);
const started = performance.now();
const data = await AnnData.open(path);
const markers = await findMarkers(data, {
  groups,
  layer: layer || undefined,
  memory: memory ? Number(memory) : undefined,
});
const seconds = (performance.now() - started) / 1000;
data.close();
if (output)
  writeFileSync(
    output,
    JSON.stringify({
      groups: markers.groups.map(({ name }) => name),
      genes: markers.genes,
      scores: Array.from(markers.scores),
      adjusted: Array.from(markers.adjustedPValues),
    }),
  );
process.stdout.write(JSON.stringify({ seconds, megabytes: process.resourceUsage().maxRSS / 1024 }));
