// Test reporter that prints how much of each source file the tests execute, least covered first, and the
// total. Functions and branches are counted in the files that the tests load.
import { relative, sep } from "node:path";

/** @param covered, total - counts @returns the share as text, aligned */
const percent = (covered, total) =>
  (total === 0 ? "-" : `${((100 * covered) / total).toFixed(1)} %`).padStart(8);

export default async function* coverageReporter(events) {
  for await (const { type, data } of events) {
    if (type === "test:diagnostic" && /coverage/i.test(data.message)) yield `${data.message}\n`;
    if (type !== "test:coverage") continue;
    const { files, workingDirectory } = data.summary;
    const sources = files
      .map((file) => ({ ...file, name: relative(workingDirectory, file.path).split(sep).join("/") }))
      .filter(({ name }) => name.startsWith("src/"))
      .sort((a, b) => a.coveredLinePercent - b.coveredLinePercent);
    yield "\n   lines functions branches\n";
    for (const file of sources) yield row(file.name, [file]);
    yield row(`all ${sources.length} files`, sources);
  }
}

function row(name, files) {
  const sum = (count) => files.reduce((total, file) => total + file[count], 0);
  return (
    percent(sum("coveredLineCount"), sum("totalLineCount")) +
    ` ${percent(sum("coveredFunctionCount"), sum("totalFunctionCount"))}` +
    ` ${percent(sum("coveredBranchCount"), sum("totalBranchCount"))}  ${name}\n`
  );
}
