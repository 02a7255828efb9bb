// Layers of the reference engine, each followed by its gradient: embeddings, linear layers, layer
// normalisation and the reparameterised latent space.
import { hashNormal, isKept } from "../numerics/random.js";
import { logNormalized } from "../numerics/log-normalized.js";
import type { Operations, CountTransform } from "./engine.js";
import type { Recording } from "./reference-recording.js";

const layerNormEps = 1e-5;
const varianceEps = 1e-4;

/** All layers. */
export function layerOperations(recording: Recording): LayerOperations {
  return {
    ...lookUpOperations(recording),
    ...addRowsOperations(recording),
    ...sparseLinearOperations(recording),
    ...linearOperations(recording),
    ...normalizeOperations(recording),
    ...latentOperations(recording),
  };
}

type LayerOperations = ReturnType<typeof lookUpOperations> &
  ReturnType<typeof addRowsOperations> &
  ReturnType<typeof sparseLinearOperations> &
  ReturnType<typeof linearOperations> &
  ReturnType<typeof normalizeOperations> &
  ReturnType<typeof latentOperations>;

/** Rows of the embedding tables, looked up. */
function lookUpOperations({
  add,
  value,
  gradient,
  array,
  cells,
  touched,
}: Recording): Pick<Operations, "lookUp" | "lookUpBackward"> {
  return {
    lookUp: (tables, out) =>
      add(() => {
        let offset = 0;
        tables.forEach((table, key) => {
          const width = table.shape[1]!;
          for (let b = 0; b < cells.rows; b++) {
            const row = cells.conditions[key]![b]!;
            const embedding = value(table).subarray(row * width, (row + 1) * width);
            const norm = Math.hypot(...embedding);
            if (norm > 1 && row >= table.trainableFrom)
              embedding.forEach((v, e) => (embedding[e] = v / (norm + 1e-7)));
            array(out).set(embedding, b * out.columns + offset);
          }
          offset += width;
        });
      }),
    lookUpBackward: (dout, tables) => {
      tables.forEach((table) => touched.add(table));
      add(() => {
        let offset = 0;
        tables.forEach((table, key) => {
          const width = table.shape[1]!;
          for (let b = 0; b < cells.rows; b++) {
            const row = cells.conditions[key]![b]!;
            for (let e = 0; e < width; e++)
              gradient(table)[row * width + e]! += array(dout)[b * dout.columns + offset + e]!;
          }
          offset += width;
        });
      });
    },
  };
}

/** Rows of the embedding tables, added to a layer (one-hot conditions). */
function addRowsOperations({
  add,
  value,
  gradient,
  array,
  cells,
  touched,
}: Recording): Pick<Operations, "addRows" | "addRowsBackward"> {
  return {
    addRows: (tables, out) =>
      add(() => {
        tables.forEach((table, key) => {
          const H = out.columns;
          for (let b = 0; b < cells.rows; b++)
            for (let h = 0; h < H; h++)
              array(out)[b * H + h]! += value(table)[cells.conditions[key]![b]! * H + h]!;
        });
      }),
    addRowsBackward: (dout, tables) => {
      tables.forEach((table) => touched.add(table));
      add(() => {
        tables.forEach((table, key) => {
          const H = dout.columns;
          for (let b = 0; b < cells.rows; b++)
            for (let h = 0; h < H; h++)
              gradient(table)[cells.conditions[key]![b]! * H + h]! += array(dout)[b * H + h]!;
        });
      });
    },
  };
}

/** Linear layers on the stored counts. */
function sparseLinearOperations({
  add,
  value,
  gradient,
  array,
  cells,
  touched,
}: Recording): Pick<Operations, "sparseLinear" | "sparseLinearBackward"> {
  const inputOf = (b: number, i: number, transform: CountTransform): number => {
    const x = cells.counts[i]!;
    if (transform === "values") return x;
    return transform === "log1p" ? Math.log1p(x) : logNormalized(x, cells.sizeFactors[b]!);
  };

  return {
    sparseLinear: (weight, bias, transform, out) =>
      add(() => {
        const G = weight.shape[1]!;
        for (let b = 0; b < cells.rows; b++)
          for (let h = 0; h < out.columns; h++) {
            let sum = value(bias)[h]!;
            for (let i = cells.indptr[b]!; i < cells.indptr[b + 1]!; i++) {
              sum += inputOf(b, i, transform) * value(weight)[h * G + cells.indices[i]!]!;
            }
            array(out)[b * out.columns + h] = sum;
          }
      }),
    sparseLinearBackward: (dout, weight, bias, transform) => {
      touched.add(weight).add(bias);
      add(() => {
        const G = weight.shape[1]!;
        for (let b = 0; b < cells.rows; b++)
          for (let h = 0; h < dout.columns; h++) {
            const d = array(dout)[b * dout.columns + h]!;
            gradient(bias)[h]! += d;
            for (let i = cells.indptr[b]!; i < cells.indptr[b + 1]!; i++) {
              gradient(weight)[h * G + cells.indices[i]!]! += d * inputOf(b, i, transform);
            }
          }
      });
    },
  };
}

/** Linear layers on activations. */
function linearOperations({
  add,
  value,
  gradient,
  array,
  cells,
  touched,
}: Recording): Pick<Operations, "linear" | "linearBackward"> {
  return {
    linear: (x, weight, bias, addTo, out) =>
      add(() => {
        const K = x.columns;
        for (let b = 0; b < cells.rows; b++)
          for (let n = 0; n < out.columns; n++) {
            let sum = bias ? value(bias)[n]! : 0;
            for (let k = 0; k < K; k++) sum += array(x)[b * K + k]! * value(weight)[n * K + k]!;
            array(out)[b * out.columns + n] = sum + (addTo ? array(out)[b * out.columns + n]! : 0);
          }
      }),
    linearBackward: (dout, x, weight, bias, addTo, dx) => {
      touched.add(weight);
      if (bias) touched.add(bias);
      add(() =>
        linearBackward(
          [cells.rows, dout.columns, x.columns],
          { dout: array(dout), x: array(x), weight: value(weight) },
          { dweight: gradient(weight), dbias: bias && gradient(bias), dx: dx && array(dx), add: addTo },
        ),
      );
    },
  };
}

/** Layer normalisation, ReLU and dropout. */
function normalizeOperations({
  add,
  array,
  cells,
}: Recording): Pick<Operations, "normalize" | "normalizeBackward"> {
  return {
    normalize: (x, dropout, layer, out) =>
      add(({ seed }) => {
        const H = x.columns;
        for (let b = 0; b < cells.rows; b++) {
          const { normalized } = layerNorm(array(x).subarray(b * H, (b + 1) * H));
          normalized.forEach(
            (v, h) =>
              (array(out)[b * H + h] = isKept(seed, layer, b, h, dropout)
                ? Math.max(0, v) / (1 - dropout)
                : 0),
          );
        }
      }),
    normalizeBackward: (dout, x, dropout, layer, dx) =>
      add(({ seed }) => {
        const H = x.columns;
        for (let b = 0; b < cells.rows; b++) {
          const { normalized, rstd } = layerNorm(array(x).subarray(b * H, (b + 1) * H));
          const d = normalized.map((v, h) =>
            v > 0 && isKept(seed, layer, b, h, dropout) ? array(dout)[b * H + h]! / (1 - dropout) : 0,
          );
          const meanOfD = d.reduce((sum, v) => sum + v, 0) / H;
          const meanOfDX = d.reduce((sum, v, h) => sum + v * normalized[h]!, 0) / H;
          d.forEach((v, h) => (array(dx)[b * H + h] = rstd * (v - meanOfD - normalized[h]! * meanOfDX)));
        }
      }),
  };
}

/** The latent space: noise, and samples of the posterior. */
function latentOperations({
  add,
  array,
  cells,
}: Recording): Pick<Operations, "sampleNoise" | "reparameterize" | "reparameterizeBackward"> {
  return {
    sampleNoise: (noise) =>
      add(({ seed }) => {
        for (let b = 0; b < cells.rows; b++)
          for (let d = 0; d < noise.columns; d++)
            array(noise)[b * noise.columns + d] = hashNormal(seed, b, d);
      }),
    reparameterize: (mean, logVar, noise, z) =>
      add((run) => {
        let kl = 0;
        for (let i = 0; i < cells.rows * z.columns; i++) {
          const variance = Math.exp(array(logVar)[i]!) + varianceEps;
          array(z)[i] = array(mean)[i]! + array(noise)[i]! * Math.sqrt(variance);
          kl += 0.5 * (variance + array(mean)[i]! ** 2 - 1 - Math.log(variance));
        }
        run.kl = kl / cells.rows;
      }),
    reparameterizeBackward: (dz, mean, logVar, noise, dmean, dlogVar) =>
      add(({ klWeight }) => {
        const weight = klWeight / cells.rows;
        for (let i = 0; i < cells.rows * dz.columns; i++) {
          const e = Math.exp(array(logVar)[i]!);
          const variance = e + varianceEps;
          const d = array(dz)[i]!;
          array(dmean)[i] = d + weight * array(mean)[i]!;
          array(dlogVar)[i] =
            0.5 * e * ((d * array(noise)[i]!) / Math.sqrt(variance) + weight * (1 - 1 / variance));
        }
      }),
  };
}

/** dW (N, K) += dout^T x, db += sum of dout, dx = dout W (or +=). */
export function linearBackward(
  [B, N, K]: readonly [number, number, number],
  { dout, x, weight }: { dout: Float64Array; x: Float64Array; weight: Float64Array },
  {
    dweight,
    dbias,
    dx,
    add,
  }: { dweight: Float64Array; dbias: Float64Array | null; dx: Float64Array | null; add: boolean },
): void {
  for (let b = 0; b < B; b++) {
    if (dx && !add) dx.fill(0, b * K, (b + 1) * K);
    for (let n = 0; n < N; n++) {
      const d = dout[b * N + n]!;
      if (dbias) dbias[n]! += d;
      for (let k = 0; k < K; k++) {
        dweight[n * K + k]! += d * x[b * K + k]!;
        if (dx) dx[b * K + k]! += d * weight[n * K + k]!;
      }
    }
  }
}

/** (x - mean) / sqrt(variance + eps), the variance over H, not H - 1 */
function layerNorm(x: Float64Array): { normalized: Float64Array; rstd: number } {
  const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
  const variance = x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length;
  const rstd = 1 / Math.sqrt(variance + layerNormEps);
  return { normalized: x.map((v) => (v - mean) * rstd), rstd };
}
