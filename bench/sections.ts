// Pages of docs/benchmarks/ may have a section per bench; each bench replaces only its section.
import { existsSync, readFileSync, writeFileSync } from "node:fs";

/** Replaces the section with the same heading line, or appends it. */
export function writeSection(path: string, heading: string, lines: readonly string[]): void {
  const text = existsSync(path) ? readFileSync(path, "utf8") : "# Benchmarks\n";
  const sections = text.split(/^(?=## )/m).map((section) => section.trimEnd());
  const section = [`## ${heading}`, "", ...lines].join("\n").trimEnd();
  const at = sections.findIndex((section) => section.startsWith(`## ${heading}\n`));
  if (at < 0) sections.push(section);
  else sections[at] = section;
  writeFileSync(path, `${sections.join("\n\n")}\n`);
}
