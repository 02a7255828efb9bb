// Least squares with coefficients of at least 0, for a handful of coefficients: coordinate descent.

/** @param rows - (n, k) @param targets - (n) @returns (k) */
export function leastSquares(rows: readonly (readonly number[])[], targets: readonly number[]): number[] {
  const k = rows[0]!.length;
  const values = new Array<number>(k).fill(0);
  const squares = values.map((_, i) => rows.reduce((sum, row) => sum + row[i]! ** 2, 0));
  const residuals = [...targets];
  for (let sweep = 0; sweep < 100_000; sweep++) {
    let change = 0;
    for (let i = 0; i < k; i++) {
      if (squares[i] === 0) continue;
      const slope = rows.reduce((sum, row, n) => sum + row[i]! * residuals[n]!, 0);
      const next = Math.max(0, values[i]! + slope / squares[i]!);
      const step = next - values[i]!;
      rows.forEach((row, n) => (residuals[n]! -= row[i]! * step));
      values[i] = next;
      change = Math.max(change, Math.abs(step));
    }
    if (change < 1e-10) break;
  }
  return values;
}
