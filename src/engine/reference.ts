// The reference engine: every operation in float64, unfused and as the formulas stand. Slow; the one to read,
// and the truth of the tests. Source: De Donno et al. 2023, Methods; losses and network of scArches 0.6.1.
import { ScPoliError } from "../contract/errors.js";
import { hashNormal, isKept } from "../numerics/random.js";
import {
  movesUsedOnly,
  normalizedTotal,
  type Activation,
  type Engine,
  type EngineOptions,
  type Floats,
  type Losses,
  type Minibatch,
  type Operations,
  type OutputLayer,
  type Parameter,
  type ParameterOptions,
  type Program,
  type RunOptions,
  type TakenCounts,
} from "./engine.js";
import { crossEntropyShares, labelShares, levelWeights } from "./label-shares.js";
import { nbGradient, nbLoss, poissonLoss, zinbGradient, zinbLoss } from "./likelihoods.js";

const layerNormEps = 1e-5;
const varianceEps = 1e-4;
const adam = { beta1: 0.9, beta2: 0.999, eps: 0.01 };

/** A parameter's arrays, row-major in the published shape. */
interface Stored {
  readonly value: Float64Array;
  readonly gradient: Float64Array;
  readonly first: Float64Array;
  readonly second: Float64Array;
}

interface Run extends Required<RunOptions> {
  reconstruction: number;
  kl: number;
  prototype: number;
  crossEntropy: number;
}

/** A label of a cell in the cross-entropy over the prototypes of its level. */
interface Decision {
  readonly cell: number;
  /** what it weighs */
  readonly share: number;
  readonly label: number;
  /** prototypes of the level, and the probability of each */
  readonly rows: readonly number[];
  readonly probabilities: Float64Array;
  /** -ln of the label's probability */
  readonly loss: number;
}

export class ReferenceEngine implements Engine {
  readonly name = "reference";
  readonly minibatch: Minibatch;
  readonly #parameters: Parameter[] = [];
  readonly #stored: Stored[] = [];
  readonly #activations: Float64Array[] = [];
  readonly #reconstruction: Float64Array;
  readonly #prototypes: Float64Array;

  constructor(readonly options: EngineOptions) {
    const { minibatchSize, minibatchCapacity, conditionKeys, levels, prototypes } = options;
    this.minibatch = {
      rows: 0,
      indptr: new Int32Array(minibatchSize + 1),
      indices: new Int32Array(minibatchCapacity),
      counts: new Float32Array(minibatchCapacity),
      sizeFactors: new Float32Array(minibatchSize),
      conditions: Array.from({ length: conditionKeys }, () => new Int32Array(minibatchSize)),
      combinations: new Int32Array(minibatchSize),
      labels: new Int32Array(minibatchSize * levels).fill(-1),
    };
    this.#reconstruction = new Float64Array(minibatchSize);
    this.#prototypes = new Float64Array(prototypes[0] * prototypes[1]);
  }

  createParameter(options: ParameterOptions): Parameter {
    const size = options.shape.reduce((product, n) => product * n, 1);
    const parameter = { ...options, id: this.#parameters.length };
    this.#parameters.push(parameter);
    this.#stored.push({
      value: new Float64Array(size),
      gradient: new Float64Array(size),
      first: new Float64Array(size),
      second: new Float64Array(size),
    });
    return parameter;
  }

  createActivation(columns: number): Activation {
    this.#activations.push(new Float64Array(this.options.minibatchSize * columns));
    return { id: this.#activations.length - 1, columns };
  }

  record(build: (operations: Operations) => void): Program {
    const steps: ((run: Run) => void)[] = [];
    build(this.#recorder(steps));
    return {
      run: ({
        step = 1,
        learningRate = 0,
        klWeight = 1,
        prototypeWeight = 0,
        crossEntropyWeight = 0,
        seed = 0,
      }: RunOptions = {}): Losses => {
        const run: Run = {
          step,
          learningRate,
          klWeight,
          prototypeWeight,
          crossEntropyWeight,
          seed,
          reconstruction: 0,
          kl: 0,
          prototype: 0,
          crossEntropy: 0,
        };
        for (const { gradient } of this.#stored) gradient.fill(0);
        for (const execute of steps) execute(run);
        const { reconstruction, kl, prototype, crossEntropy } = run;
        return { reconstruction, kl, prototype, crossEntropy };
      },
    };
  }

  read(parameter: Parameter): Floats {
    return this.#stored[parameter.id]!.value.slice();
  }
  write(parameter: Parameter, values: ArrayLike<number>): void {
    this.#stored[parameter.id]!.value.set(
      sized(values, this.#stored[parameter.id]!.value.length, parameter.name),
    );
  }
  readMoments(parameter: Parameter): { first: Floats; second: Floats } {
    const { first, second } = this.#stored[parameter.id]!;
    return { first: first.slice(), second: second.slice() };
  }
  writeMoments(parameter: Parameter, first: ArrayLike<number>, second: ArrayLike<number>): void {
    this.#stored[parameter.id]!.first.set(first);
    this.#stored[parameter.id]!.second.set(second);
  }
  readGradient(parameter: Parameter): Floats {
    return this.#stored[parameter.id]!.gradient.slice();
  }
  readActivation(activation: Activation, into?: Floats): Floats {
    const values = this.#activations[activation.id]!.subarray(0, this.minibatch.rows * activation.columns);
    if (!into) return values.slice();
    into.set(values);
    return into;
  }
  writeActivation(activation: Activation, values: ArrayLike<number>): void {
    this.#activations[activation.id]!.set(values);
  }
  readReconstruction(): Floats {
    return this.#reconstruction.slice(0, this.minibatch.rows);
  }
  writePrototypes(values: ArrayLike<number>): void {
    this.#prototypes.set(sized(values, this.#prototypes.length, "prototypes"));
  }
  async close(): Promise<void> {}

  #recorder(steps: ((run: Run) => void)[]): Operations {
    const takenOf = (b: number, i: number, taken: TakenCounts): number => {
      const x = cells.counts[i]!;
      return taken === "values"
        ? x
        : Math.log1p(taken === "log1p" ? x : (normalizedTotal * x) / Math.max(1, cells.sizeFactors[b]!));
    };
    const add = (execute: (run: Run) => void): void => void steps.push(execute);
    const value = (parameter: Parameter): Float64Array => this.#stored[parameter.id]!.value;
    const gradient = (parameter: Parameter): Float64Array => this.#stored[parameter.id]!.gradient;
    const array = (activation: Activation): Float64Array => this.#activations[activation.id]!;
    const cells = this.minibatch;
    const touched = new Set<Parameter>();
    /** (B, G) kept from the likelihood for its gradient: mu; max(0, logits) of the squared error */
    let kept = new Float64Array(0);
    /** (B, G) logits of the zeros of a second kind */
    let dropoutLogits = new Float64Array(0);

    /** Fills `kept` with size factor times softmax. @param scaled - false: without the size factor */
    const decode = (
      h: Activation,
      { weight, bias }: OutputLayer,
      scaled: boolean,
      probabilities: Activation | null,
    ): void => {
      const G = weight.shape[0]!;
      kept = new Float64Array(cells.rows * G);
      for (let b = 0; b < cells.rows; b++) {
        const softmax = kept.subarray(b * G, (b + 1) * G);
        outputLogits(
          array(h).subarray(b * h.columns, (b + 1) * h.columns),
          value(weight),
          value(bias),
          softmax,
        );
        softmaxInPlace(softmax);
        if (probabilities) array(probabilities).set(softmax, b * G);
        if (scaled) softmax.forEach((p, g) => (softmax[g] = p * cells.sizeFactors[b]!));
      }
    };
    /** Sums a loss over the cells. */
    const eachCell = (
      run: Run,
      G: number,
      loss: (b: number, x: Float64Array, decoded: Float64Array) => number,
    ): void => {
      run.reconstruction = 0;
      for (let b = 0; b < cells.rows; b++) {
        this.#reconstruction[b] = loss(b, denseRow(cells, b, G), kept.subarray(b * G, (b + 1) * G));
        run.reconstruction += this.#reconstruction[b]! / cells.rows;
      }
    };
    /** dlogits (B, G) from q = mu dloss/dmu of each cell: q - softmax sum(q), over B. */
    const throughSoftmax = (
      G: number,
      q: (b: number, x: Float64Array, mu: Float64Array) => Float64Array,
    ): Float64Array => {
      const dlogits = new Float64Array(cells.rows * G);
      for (let b = 0; b < cells.rows; b++) {
        const mu = kept.subarray(b * G, (b + 1) * G);
        const own = q(b, denseRow(cells, b, G), mu);
        const sum = own.reduce((total, v) => total + v, 0);
        const size = mu.reduce((total, v) => total + v, 0) || 1;
        own.forEach((v, g) => (dlogits[b * G + g] = (v - (mu[g]! / size) * sum) / cells.rows));
      }
      return dlogits;
    };
    const outputBackward = (
      h: Activation,
      { weight, bias }: OutputLayer,
      dlogits: Float64Array,
      dh: Activation,
      addTo: boolean,
    ): void =>
      linearBackward(
        [cells.rows, weight.shape[0]!, h.columns],
        { dout: dlogits, x: array(h), weight: value(weight) },
        { dweight: gradient(weight), dbias: gradient(bias), dx: array(dh), add: addTo },
      );

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

      sparseLinear: (weight, bias, taken, out) =>
        add(() => {
          const G = weight.shape[1]!;
          for (let b = 0; b < cells.rows; b++)
            for (let h = 0; h < out.columns; h++) {
              let sum = value(bias)[h]!;
              for (let i = cells.indptr[b]!; i < cells.indptr[b + 1]!; i++) {
                sum += takenOf(b, i, taken) * value(weight)[h * G + cells.indices[i]!]!;
              }
              array(out)[b * out.columns + h] = sum;
            }
        }),
      sparseLinearBackward: (dout, weight, bias, taken) => {
        touched.add(weight).add(bias);
        add(() => {
          const G = weight.shape[1]!;
          for (let b = 0; b < cells.rows; b++)
            for (let h = 0; h < dout.columns; h++) {
              const d = array(dout)[b * dout.columns + h]!;
              gradient(bias)[h]! += d;
              for (let i = cells.indptr[b]!; i < cells.indptr[b + 1]!; i++) {
                gradient(weight)[h * G + cells.indices[i]!]! += d * takenOf(b, i, taken);
              }
            }
        });
      },

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

      negativeBinomial: (h, weight, bias, theta, _backward, probabilities) =>
        add((run) => {
          decode(h, { weight, bias }, true, probabilities);
          eachCell(run, weight.shape[0]!, (b, x, mu) =>
            nbLoss(x, mu, thetaColumn(value(theta), theta, cells.combinations[b]!)),
          );
        }),
      negativeBinomialBackward: (h, weight, bias, theta, dh) => {
        touched.add(weight).add(bias).add(theta);
        add(() => {
          const [G, C] = [weight.shape[0]!, theta.shape[1]!];
          const dlogits = throughSoftmax(G, (b, x, mu) => {
            const combination = cells.combinations[b]!;
            const { dmu, dtheta } = nbGradient(x, mu, thetaColumn(value(theta), theta, combination));
            dtheta.forEach((d, g) => (gradient(theta)[g * C + combination]! += d / cells.rows));
            return dmu.map((d, g) => d * mu[g]!);
          });
          outputBackward(h, { weight, bias }, dlogits, dh, false);
        });
      },

      zeroInflated: (h, mean, dropout, theta, _backward, probabilities) =>
        add((run) => {
          const G = mean.weight.shape[0]!;
          decode(h, mean, true, probabilities);
          dropoutLogits = new Float64Array(cells.rows * G);
          eachCell(run, G, (b, x, mu) => {
            const logits = dropoutLogits.subarray(b * G, (b + 1) * G);
            outputLogits(
              array(h).subarray(b * h.columns, (b + 1) * h.columns),
              value(dropout.weight),
              value(dropout.bias),
              logits,
            );
            return zinbLoss(x, mu, thetaColumn(value(theta), theta, cells.combinations[b]!), logits);
          });
        }),
      zeroInflatedBackward: (h, mean, dropout, theta, dh) => {
        for (const { weight, bias } of [mean, dropout]) touched.add(weight).add(bias);
        touched.add(theta);
        add(() => {
          const [G, C] = [mean.weight.shape[0]!, theta.shape[1]!];
          const ddropout = new Float64Array(cells.rows * G);
          const dlogits = throughSoftmax(G, (b, x, mu) => {
            const combination = cells.combinations[b]!;
            const own = zinbGradient(
              x,
              mu,
              thetaColumn(value(theta), theta, combination),
              dropoutLogits.subarray(b * G, (b + 1) * G),
            );
            own.dtheta.forEach((d, g) => (gradient(theta)[g * C + combination]! += d / cells.rows));
            own.ddropout.forEach((d, g) => (ddropout[b * G + g] = d / cells.rows));
            return own.dmu.map((d, g) => d * mu[g]!);
          });
          outputBackward(h, mean, dlogits, dh, false);
          outputBackward(h, dropout, ddropout, dh, true);
        });
      },

      poisson: (h, layer, scaled, _backward, probabilities) =>
        add((run) => {
          decode(h, layer, scaled, probabilities);
          eachCell(run, layer.weight.shape[0]!, (_, x, rate) => poissonLoss(x, rate));
        }),
      poissonBackward: (h, layer, dh) => {
        touched.add(layer.weight).add(layer.bias);
        // mu dloss/dmu = mu - x
        add(() =>
          outputBackward(
            h,
            layer,
            throughSoftmax(layer.weight.shape[0]!, (_, x, rate) => rate.map((r, g) => r - x[g]!)),
            dh,
            false,
          ),
        );
      },

      squaredError: (h, { weight, bias }, _backward, decoded) =>
        add((run) => {
          const G = weight.shape[0]!;
          kept = new Float64Array(cells.rows * G);
          eachCell(run, G, (b, x, out) => {
            outputLogits(
              array(h).subarray(b * h.columns, (b + 1) * h.columns),
              value(weight),
              value(bias),
              out,
            );
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
              const out = kept[b * G + g]!;
              dlogits[b * G + g] = out > 0 ? (2 * (out - x)) / cells.rows : 0;
            });
          outputBackward(h, layer, dlogits, dh, false);
        });
      },

      prototypeLoss: (z, p) =>
        add((run) => {
          if (run.prototypeWeight === 0) return;
          run.prototype = 0;
          this.#eachLabel(
            z.columns,
            array(z),
            (difference, share) => (run.prototype += share * distance(difference, p)),
          );
        }),
      prototypeLossBackward: (z, p, dz) =>
        add(({ prototypeWeight }) => {
          if (prototypeWeight === 0) return;
          this.#eachLabel(z.columns, array(z), (difference, share, b) => {
            const length = distance(difference, p);
            if (length === 0) return;
            difference.forEach((v, d) => {
              array(dz)[b * z.columns + d]! +=
                prototypeWeight * share * Math.sign(v) * (Math.abs(v) / length) ** (p - 1);
            });
          });
        }),

      prototypeCrossEntropy: (z) =>
        add((run) => {
          if (run.crossEntropyWeight === 0) return;
          run.crossEntropy = 0;
          this.#eachDecision(z.columns, array(z), ({ share, loss }) => (run.crossEntropy += share * loss));
        }),
      prototypeCrossEntropyBackward: (z, dz) =>
        add(({ crossEntropyWeight }) => {
          if (crossEntropyWeight === 0) return;
          const D = z.columns;
          this.#eachDecision(D, array(z), ({ cell, share, label, rows, probabilities }) =>
            rows.forEach((row, k) => {
              const dlogit = crossEntropyWeight * share * (probabilities[k]! - Number(row === label));
              for (let d = 0; d < D; d++)
                array(dz)[cell * D + d]! -=
                  dlogit * (array(z)[cell * D + d]! - this.#prototypes[row * D + d]!);
            }),
          );
        }),

      update: () =>
        add(({ step, learningRate }) =>
          touched.forEach((parameter) => this.#adam(parameter, step, learningRate)),
        ),
    };
  }

  /** For every label of every cell: cell minus prototype, and what it weighs. */
  #eachLabel(
    D: number,
    z: Float64Array,
    visit: (difference: Float64Array, share: number, b: number) => void,
  ): void {
    const { levels, prototypes } = this.options;
    const labels = this.minibatch.labels.subarray(0, this.minibatch.rows * levels);
    const shares = new Float64Array(labels.length);
    labelShares(labels, this.options, new Int32Array(prototypes[0]), shares);
    labels.forEach((label, i) => {
      const b = Math.floor(i / levels);
      if (label >= 0)
        visit(
          z.slice(b * D, (b + 1) * D).map((v, d) => v - this.#prototypes[label * D + d]!),
          shares[i]!,
          b,
        );
    });
  }

  /** For every label of every cell: the types of its level by softmax(-|z - c|^2 / 2). */
  #eachDecision(D: number, z: Float64Array, visit: (decision: Decision) => void): void {
    const { levels, levelPrototypes = [] } = this.options;
    const labels = this.minibatch.labels.subarray(0, this.minibatch.rows * levels);
    const shares = new Float64Array(labels.length);
    crossEntropyShares(labels, this.options, levelWeights(this.options), shares);
    labels.forEach((label, i) => {
      const share = shares[i]!;
      if (share === 0) return;
      const [cell, { rows }] = [Math.floor(i / levels), levelPrototypes[i % levels]!];
      const logits = Float64Array.from(rows, (row) => {
        let sum = 0;
        for (let d = 0; d < D; d++) sum += (z[cell * D + d]! - this.#prototypes[row * D + d]!) ** 2;
        return -sum / 2;
      });
      const largest = Math.max(...logits);
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
      visit({
        cell,
        share,
        label,
        rows,
        probabilities: logits.map((logit) => Math.exp(logit - largest) / total),
        loss: largest + Math.log(total) - logits[rows.indexOf(label)]!,
      });
    });
  }

  #adam(parameter: Parameter, step: number, learningRate: number): void {
    const { value, gradient, first, second } = this.#stored[parameter.id]!;
    const { beta1, beta2, eps } = adam;
    const used = movesUsedOnly(parameter, this.options.minibatchSize)
      ? new Set(this.minibatch.combinations.subarray(0, this.minibatch.rows))
      : null;
    for (let i = 0; i < value.length; i++) {
      const condition = conditionOf(parameter, i);
      if (condition < parameter.trainableFrom || (used && !used.has(condition))) continue;
      const g = gradient[i]! + parameter.weightDecay * value[i]!;
      first[i] = beta1 * first[i]! + (1 - beta1) * g;
      second[i] = beta2 * second[i]! + (1 - beta2) * g * g;
      const scale = Math.sqrt(second[i]!) / Math.sqrt(1 - beta2 ** step) + eps;
      value[i]! -= ((learningRate / (1 - beta1 ** step)) * first[i]!) / scale;
    }
  }
}

/**
 * The condition that element i of an embedding (C, E), one-hot weight (C, H) or theta (G, C) belongs to; 0
 * for other parameters.
 */
function conditionOf({ role, shape }: Parameter, i: number): number {
  return role === "embedding" || role === "one-hot"
    ? Math.floor(i / shape[1]!)
    : role === "theta"
      ? i % shape[1]!
      : 0;
}

function sized(values: ArrayLike<number>, length: number, name: string): ArrayLike<number> {
  if (values.length !== length)
    throw new ScPoliError("model", `${name} has ${values.length} values; expected ${length}.`, { name });
  return values;
}

/** dW (N, K) += dout^T x, db += sum of dout, dx = dout W (or +=). */
function linearBackward(
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

function distance(difference: Float64Array, p: number): number {
  return difference.reduce((sum, v) => sum + Math.abs(v) ** p, 0) ** (1 / p);
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
