// Output layers of the reference engine with their likelihoods, each followed by its gradient.
import type { Activation, Minibatch, Operations, OutputLayer, Parameter } from "./engine.js";
import { nbGradient, nbLoss, poissonLoss, zinbGradient, zinbLoss } from "./likelihoods.js";
import { linearBackward } from "./reference-layers.js";
import type { Recording, Run } from "./reference-recording.js";

/** All likelihoods. */
export function likelihoodOperations(
  recording: Recording,
): Pick<
  Operations,
  | "negativeBinomial"
  | "negativeBinomialBackward"
  | "zeroInflated"
  | "zeroInflatedBackward"
  | "poisson"
  | "poissonBackward"
  | "squaredError"
  | "squaredErrorBackward"
> {
  const decoder = new OutputDecoder(recording);
  return {
    ...negativeBinomialOperations(recording, decoder),
    ...zeroInflatedOperations(recording, decoder),
    ...poissonOperations(recording, decoder),
    ...squaredErrorOperations(recording, decoder),
  };
}

/** Shared by the likelihoods: decoding by the output layer, sums over cells, and the backward pass. */
class OutputDecoder {
  /** (B, G) stored by the likelihood for its gradient: mu; for the squared error max(0, logits) */
  kept = new Float64Array(0);

  constructor(private readonly recording: Recording) {}

  /** Sets `kept` to size factor times softmax. @param scaled - false: without the size factor */
  decode(h: Activation, layer: OutputLayer, scaled: boolean, probabilities: Activation | null): void {
    const { array, cells } = this.recording;
    const G = layer.weight.shape[0]!;
    this.kept = new Float64Array(cells.rows * G);
    for (let b = 0; b < cells.rows; b++) {
      const softmax = this.kept.subarray(b * G, (b + 1) * G);
      this.logits(h, layer, b, softmax);
      softmaxInPlace(softmax);
      if (probabilities) array(probabilities).set(softmax, b * G);
      if (scaled) softmax.forEach((p, g) => (softmax[g] = p * cells.sizeFactors[b]!));
    }
  }

  /** Logits (G) of cell b. */
  logits(h: Activation, { weight, bias }: OutputLayer, b: number, logits: Float64Array): void {
    const { array, value } = this.recording;
    outputLogits(array(h).subarray(b * h.columns, (b + 1) * h.columns), value(weight), value(bias), logits);
  }

  /** Sums a loss over the cells. */
  eachCell(run: Run, G: number, loss: (b: number, x: Float64Array, decoded: Float64Array) => number): void {
    const { cells, reconstruction } = this.recording;
    run.reconstruction = 0;
    for (let b = 0; b < cells.rows; b++) {
      reconstruction[b] = loss(b, denseRow(cells, b, G), this.kept.subarray(b * G, (b + 1) * G));
      run.reconstruction += reconstruction[b]! / cells.rows;
    }
  }

  /** dlogits (B, G) from q = mu dloss/dmu of each cell: q - softmax sum(q), over B. */
  throughSoftmax(G: number, q: (b: number, x: Float64Array, mu: Float64Array) => Float64Array): Float64Array {
    const { cells } = this.recording;
    const dlogits = new Float64Array(cells.rows * G);
    for (let b = 0; b < cells.rows; b++) {
      const mu = this.kept.subarray(b * G, (b + 1) * G);
      const cellQ = q(b, denseRow(cells, b, G), mu);
      const sum = cellQ.reduce((total, v) => total + v, 0);
      const size = mu.reduce((total, v) => total + v, 0) || 1;
      cellQ.forEach((v, g) => (dlogits[b * G + g] = (v - (mu[g]! / size) * sum) / cells.rows));
    }
    return dlogits;
  }

  outputBackward(
    h: Activation,
    { weight, bias }: OutputLayer,
    dlogits: Float64Array,
    dh: Activation,
    addTo: boolean,
  ): void {
    const { array, value, gradient, cells } = this.recording;
    linearBackward(
      [cells.rows, weight.shape[0]!, h.columns],
      { dout: dlogits, x: array(h), weight: value(weight) },
      { dweight: gradient(weight), dbias: gradient(bias), dx: array(dh), add: addTo },
    );
  }
}

function negativeBinomialOperations(
  { add, value, gradient, cells, touched }: Recording,
  decoder: OutputDecoder,
): Pick<Operations, "negativeBinomial" | "negativeBinomialBackward"> {
  return {
    negativeBinomial: (h, weight, bias, theta, _backward, probabilities) =>
      add((run) => {
        decoder.decode(h, { weight, bias }, true, probabilities);
        decoder.eachCell(run, weight.shape[0]!, (b, x, mu) =>
          nbLoss(x, mu, thetaColumn(value(theta), theta, cells.combinations[b]!)),
        );
      }),
    negativeBinomialBackward: (h, weight, bias, theta, dh) => {
      touched.add(weight).add(bias).add(theta);
      add(() => {
        const [G, C] = [weight.shape[0]!, theta.shape[1]!];
        const dlogits = decoder.throughSoftmax(G, (b, x, mu) => {
          const combination = cells.combinations[b]!;
          const { dmu, dtheta } = nbGradient(x, mu, thetaColumn(value(theta), theta, combination));
          dtheta.forEach((d, g) => (gradient(theta)[g * C + combination]! += d / cells.rows));
          return dmu.map((d, g) => d * mu[g]!);
        });
        decoder.outputBackward(h, { weight, bias }, dlogits, dh, false);
      });
    },
  };
}

function zeroInflatedOperations(
  { add, value, gradient, cells, touched }: Recording,
  decoder: OutputDecoder,
): Pick<Operations, "zeroInflated" | "zeroInflatedBackward"> {
  /** (B, G) logits of the excess zeros */
  let dropoutLogits = new Float64Array(0);
  return {
    zeroInflated: (h, mean, dropout, theta, _backward, probabilities) =>
      add((run) => {
        const G = mean.weight.shape[0]!;
        decoder.decode(h, mean, true, probabilities);
        dropoutLogits = new Float64Array(cells.rows * G);
        decoder.eachCell(run, G, (b, x, mu) => {
          const logits = dropoutLogits.subarray(b * G, (b + 1) * G);
          decoder.logits(h, dropout, b, logits);
          return zinbLoss(x, mu, thetaColumn(value(theta), theta, cells.combinations[b]!), logits);
        });
      }),
    zeroInflatedBackward: (h, mean, dropout, theta, dh) => {
      for (const { weight, bias } of [mean, dropout]) touched.add(weight).add(bias);
      touched.add(theta);
      add(() => {
        const [G, C] = [mean.weight.shape[0]!, theta.shape[1]!];
        const ddropout = new Float64Array(cells.rows * G);
        const dlogits = decoder.throughSoftmax(G, (b, x, mu) => {
          const combination = cells.combinations[b]!;
          const gradients = zinbGradient(
            x,
            mu,
            thetaColumn(value(theta), theta, combination),
            dropoutLogits.subarray(b * G, (b + 1) * G),
          );
          gradients.dtheta.forEach((d, g) => (gradient(theta)[g * C + combination]! += d / cells.rows));
          gradients.ddropout.forEach((d, g) => (ddropout[b * G + g] = d / cells.rows));
          return gradients.dmu.map((d, g) => d * mu[g]!);
        });
        decoder.outputBackward(h, mean, dlogits, dh, false);
        decoder.outputBackward(h, dropout, ddropout, dh, true);
      });
    },
  };
}

function poissonOperations(
  { add, touched }: Recording,
  decoder: OutputDecoder,
): Pick<Operations, "poisson" | "poissonBackward"> {
  return {
    poisson: (h, layer, scaled, _backward, probabilities) =>
      add((run) => {
        decoder.decode(h, layer, scaled, probabilities);
        decoder.eachCell(run, layer.weight.shape[0]!, (_, x, rate) => poissonLoss(x, rate));
      }),
    poissonBackward: (h, layer, dh) => {
      touched.add(layer.weight).add(layer.bias);
      // mu dloss/dmu = mu - x
      add(() =>
        decoder.outputBackward(
          h,
          layer,
          decoder.throughSoftmax(layer.weight.shape[0]!, (_, x, rate) => rate.map((r, g) => r - x[g]!)),
          dh,
          false,
        ),
      );
    },
  };
}

/** The likelihood of normalised values, "mse": max(0, logits) against them. */
function squaredErrorOperations(
  { add, array, cells, touched }: Recording,
  decoder: OutputDecoder,
): Pick<Operations, "squaredError" | "squaredErrorBackward"> {
  return {
    squaredError: (h, { weight, bias }, _backward, decoded) =>
      add((run) => {
        const G = weight.shape[0]!;
        decoder.kept = new Float64Array(cells.rows * G);
        decoder.eachCell(run, G, (b, x, out) => {
          decoder.logits(h, { weight, bias }, b, out);
          out.forEach((logit, g) => (out[g] = Math.max(0, logit)));
          if (decoded) array(decoded).set(out, b * G);
          return out.reduce((sum, v, g) => sum + (v - x[g]!) ** 2, 0);
        });
      }),
    squaredErrorBackward: (h, layer, dh) => {
      touched.add(layer.weight).add(layer.bias);
      add(() => {
        const G = layer.weight.shape[0]!;
        const dlogits = new Float64Array(cells.rows * G);
        for (let b = 0; b < cells.rows; b++)
          denseRow(cells, b, G).forEach((x, g) => {
            const out = decoder.kept[b * G + g]!;
            dlogits[b * G + g] = out > 0 ? (2 * (out - x)) / cells.rows : 0;
          });
        decoder.outputBackward(h, layer, dlogits, dh, false);
      });
    },
  };
}

function outputLogits(h: Float64Array, weight: Float64Array, bias: Float64Array, logits: Float64Array): void {
  const H = h.length;
  for (let g = 0; g < logits.length; g++) {
    let sum = bias[g]!;
    for (let k = 0; k < H; k++) sum += h[k]! * weight[g * H + k]!;
    logits[g] = sum;
  }
}

function softmaxInPlace(logits: Float64Array): void {
  const largest = logits.reduce((most, v) => Math.max(most, v), -Infinity);
  let sum = 0;
  logits.forEach((v, g) => (sum += logits[g] = Math.exp(v - largest)));
  logits.forEach((v, g) => (logits[g] = v / sum));
}

function denseRow({ indptr, indices, counts }: Minibatch, b: number, G: number): Float64Array {
  const row = new Float64Array(G);
  for (let i = indptr[b]!; i < indptr[b + 1]!; i++) row[indices[i]!] = counts[i]!;
  return row;
}

/** Inverse dispersion of one combination of conditions: exp of its column. */
function thetaColumn(theta: Float64Array, { shape }: Parameter, combination: number): Float64Array {
  const C = shape[1]!;
  return Float64Array.from({ length: shape[0]! }, (_, g) => Math.exp(theta[g * C + combination]!));
}
