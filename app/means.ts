// Mean expression of a gene per sample: used by the worker for reference cells, by the page for query cells.

/** @param codes - sample of each value, -1: none @returns NaN where a sample has no cell */
export function meansBySample(values: Float32Array, codes: Int32Array, samples: number): Float64Array {
  const [sums, cells] = [new Float64Array(samples), new Float64Array(samples)];
  for (let cell = 0; cell < values.length; cell++) {
    const sample = codes[cell]!;
    if (sample < 0) continue;
    sums[sample]! += values[cell]!;
    cells[sample]!++;
  }
  return sums.map((sum, sample) => sum / cells[sample]!);
}
