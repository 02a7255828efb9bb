// What cells can be coloured and filtered by, for a select.
import type { MappingResult } from "../protocol.js";
import { work, type ColourBy } from "../state.js";

interface Choice {
  readonly group: string;
  readonly entries: readonly { readonly name: string; readonly by: ColourBy }[];
}

/** Groups of options; the value of each is the JSON of its `ColourBy`. */
export function ColourOptions({ result }: { readonly result: MappingResult }) {
  return (
    <>
      {colourChoices(result).map(({ group, entries }) => (
        <optgroup key={group} label={group}>
          {entries.map(({ name, by }) => (
            <option key={name} value={JSON.stringify(by)}>
              {name}
            </option>
          ))}
        </optgroup>
      ))}
    </>
  );
}

function colourChoices(result: MappingResult): Choice[] {
  const { query, annotation } = work.value;
  const names =
    query?.info.inspection.columns.filter(({ kind }) => kind !== "unreadable").map(({ name }) => name) ?? [];
  const levels = result.levels.map(({ key, novelty, headLabels }, level): Choice => ({
    group: key,
    entries: [
      { name: `${key}: predicted type`, by: { kind: "predicted", level } },
      { name: `${key}: uncertainty`, by: { kind: "uncertainty", level } },
      ...(novelty ? [{ name: `${key}: novelty`, by: { kind: "novelty" as const, level } }] : []),
      { name: `${key}: probability`, by: { kind: "probability", level } },
      { name: `${key}: nearest prototype`, by: { kind: "nearest", level } },
      ...(headLabels ? [{ name: `${key}: classifier on genes`, by: { kind: "head" as const, level } }] : []),
    ],
  }));
  const mapping: Choice["entries"] = [
    ...result.conditions.map(({ key }, k) => ({
      name: `${key} (query and reference)`,
      by: { kind: "condition" as const, key: k },
    })),
    ...(result.clusters ? [{ name: "cluster", by: { kind: "cluster" } as const }] : []),
    ...(annotation ? [{ name: `${annotation.title} (yours)`, by: { kind: "annotation" } as const }] : []),
  ];
  const columns: Choice = {
    group: "Your cell metadata",
    entries: names.map((name) => ({ name, by: { kind: "column", name } })),
  };
  return [...levels, { group: "Mapping", entries: mapping }, columns].filter(
    ({ entries }) => entries.length > 0,
  );
}
