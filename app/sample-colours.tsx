// Colours of samples: a covariate or, while a gene colours the cells, the mean of that gene per sample.
import type { Covariate } from "scpoli";
import { conditionNames } from "./coloring.js";
import { missingColour, otherColour, rampColour } from "./colours.js";
import { meansBySample } from "./means.js";
import type { MappingResult, SampleMap } from "./protocol.js";
import { expressions, referenceMeans, theme, work } from "./state.js";
import { short } from "./text.js";

export type SampleColouring = Pick<Covariate, "name" | "kind" | "values" | "levels">;

/**
 * The gene that colours the cells, as its mean per sample; null where none does. Samples of the reference are
 * known where its cells are open.
 */
export function geneColouring(
  { key, names }: SampleMap,
  { codes, names: queryNames }: MappingResult["conditions"][number],
): SampleColouring | null {
  const { colourBy } = work.value.view;
  const values = colourBy.kind === "gene" && expressions.value.get(colourBy.name);
  if (!values) return null;
  const known = new Map(referenceMeans.value.get(colourBy.name)?.[key] ?? []);
  meansBySample(values, codes, queryNames.length).forEach(
    (mean, sample) => Number.isFinite(mean) && known.set(queryNames[sample]!, mean),
  );
  return {
    name: `${colourBy.name}, mean of log1p per 10,000`,
    kind: "number",
    levels: [],
    values: names.map((name) => known.get(name) ?? null),
  };
}

function rangeOf({ values }: SampleColouring): readonly [number, number] {
  const numbers = values.filter((value): value is number => typeof value === "number");
  return numbers.length > 0 ? [Math.min(...numbers), Math.max(...numbers)] : [0, 0];
}

/** Colours of samples by themselves: the same as those of their cells, where the cells are coloured so. */
export function sampleColours(
  { names }: SampleMap,
  result: MappingResult,
  position: number,
  paper = theme.value,
): string[] {
  const known = conditionNames(result, position);
  const all = [...known, ...names.filter((name) => !known.includes(name))];
  return names.map((name) => otherColour(all.indexOf(name), paper));
}

/** A colour per sample. */
export function coloursOf(colouring: SampleColouring): string[] {
  const [low, high] = rangeOf(colouring);
  return colouring.values.map((value) =>
    value === null
      ? missingColour
      : typeof value === "number"
        ? rampColour((value - low) / (high - low || 1))
        : otherColour(colouring.levels.indexOf(value), theme.value),
  );
}

export function SampleLegend({ colouring }: { readonly colouring: SampleColouring }) {
  const { name, kind, levels, values } = colouring;
  const notKnown = values.includes(null) && (
    <li>
      <span class="dot" style={{ background: missingColour }} />
      not known
    </li>
  );
  if (kind !== "number")
    return (
      <ul class="legend-row">
        {levels.map((level, l) => (
          <li key={level}>
            <span class="dot" style={{ background: otherColour(l, theme.value) }} />
            {level}
          </li>
        ))}
        {notKnown}
      </ul>
    );
  const [low, high] = rangeOf(colouring);
  return (
    <ul class="legend-row">
      <li>{name}</li>
      <li>
        {short(low)}
        <span
          class="ramp-key"
          style={{
            background:
              "linear-gradient(to right, " +
              `${Array.from({ length: 9 }, (_, i) => rampColour(i / 8)).join(", ")})`,
          }}
        />
        {short(high)}
      </li>
      {notKnown}
    </ul>
  );
}
