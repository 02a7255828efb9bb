// Samples in the demo: a text plot of their embeddings, and the nearest reference sample of each new one.
import type { DenseMatrix } from "../anndata/matrix.js";
import { euclidean } from "../samples/distances.js";

const columns = 56;
const rows = 9;

/**
 * Draws the first two components as a framed text plot.
 * @param scores - (S, K) principal components
 * @param letters - (S) one character per sample; later samples cover earlier ones
 */
export function samplePicture(scores: DenseMatrix, letters: readonly string[]): string {
  const positions = (component: number): number[] => {
    const values = letters.map((_, row) => scores.values[row * scores.columns + component] ?? 0);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return values.map((value) => (high > low ? (value - low) / (high - low) : 0.5));
  };
  const [xs, ys] = [positions(0), positions(1)];
  const grid = Array.from({ length: rows }, () => Array.from({ length: columns }, () => " "));
  letters.forEach((letter, sample) => {
    const row = Math.round((1 - ys[sample]!) * (rows - 1));
    grid[row]![Math.round(xs[sample]! * (columns - 1))] = letter;
  });
  const edge = `  +${"-".repeat(columns + 2)}+`;
  return [edge, ...grid.map((line) => `  | ${line.join("")} |`), edge].join("\n");
}

/**
 * Counts the mapped samples whose nearest reference sample has the same treatment.
 * @param embedding - (S, E)
 * @param groups - (S) treatment of each sample
 * @param isReference - (S)
 * @returns the number of mapped samples, and the number whose treatment agrees
 */
export function treatmentOfNeighbors(
  embedding: DenseMatrix,
  groups: readonly string[],
  isReference: readonly boolean[],
): { readonly right: number; readonly mapped: number } {
  const { values } = euclidean(embedding, embedding);
  const samples = groups.map((_, sample) => sample);
  const references = samples.filter((sample) => isReference[sample]);
  const mapped = samples.filter((sample) => !isReference[sample]);
  const right = mapped.filter((sample) => {
    const distance = (other: number): number => values[sample * samples.length + other]!;
    const nearest = references.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    return groups[nearest] === groups[sample];
  });
  return { right: right.length, mapped: mapped.length };
}
