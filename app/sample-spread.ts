// Uncertainty of the samples' positions, as the charts draw it.
import type { Spread } from "scpoli/plots";
import type { SampleMap } from "./protocol.js";

/** Spread of a sample's position on two components; undefined where it is not known. */
export function spreadOf(
  { spreads, dimensions }: SampleMap,
  sample: number,
  [across, up]: readonly [number, number],
): Spread | undefined {
  const values = spreads?.[sample];
  if (!values) return undefined;
  return {
    xx: values[across * dimensions + across]!,
    yy: values[up * dimensions + up]!,
    xy: values[across * dimensions + up]!,
  };
}
