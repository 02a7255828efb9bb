// Predicted processor time of a step: a sum of amounts of work, each times a constant. `npm run bench:costs`
// fits the constants to measured runs.
import { secondsPerUnit } from "./constants.js";
import { terms, type Term } from "./terms.js";

/** Amounts of work of one step. Those not given are 0. */
export interface Work {
  /** stored counts read from a file */
  readonly read?: number;
  /** cells that pass through the network forwards and backwards: cells of the data times passes */
  readonly trained?: number;
  /** the same with all weights but the new conditions' fixed, as `map` trains */
  readonly fitted?: number;
  /** cells whose likelihood is computed to compare new conditions with those of the reference */
  readonly compared?: number;
  /** cells that are placed in latent space only */
  readonly encoded?: number;
  /** cells that also get a cell type, an uncertainty and a novelty score, and are written */
  readonly labelled?: number;
  /** cells that the classifier is trained on */
  readonly classified?: number;
  /** parameters read from or written to a file */
  readonly parameters?: number;
}

/** Sizes of the network that determine the work per cell. */
export interface NetworkSize {
  /** G */
  readonly genes: number;
  /** H: units of the first hidden layer */
  readonly width: number;
}

/** How often a step has each unit of work: the row of the linear model. */
export function workOf(work: Work, { genes, width }: NetworkSize): Readonly<Record<Term, number>> {
  const {
    read = 0,
    trained = 0,
    fitted = 0,
    compared = 0,
    encoded = 0,
    labelled = 0,
    classified = 0,
    parameters = 0,
  } = work;
  return {
    process: 1,
    file: read > 0 ? 1 : 0,
    "stored count read": read,
    "trained gene": (trained + fitted) * genes,
    "trained weight": trained * genes * width,
    "fitted weight": fitted * genes * width,
    "compared weight": compared * genes * width,
    "encoded gene": (encoded + labelled) * genes,
    labelling: labelled > 0 ? 1 : 0,
    "labelled cell": labelled,
    classifier: classified > 0 ? 1 : 0,
    "classifier's gene": classified > 0 ? genes : 0,
    "classified cell": classified,
    parameter: parameters,
  };
}

/** Terms whose work is divided among threads. */
const isShared: ReadonlySet<Term> = new Set([
  "trained gene",
  "trained weight",
  "fitted weight",
  "compared weight",
  "encoded gene",
  "labelled cell",
  "classifier's gene",
  "classified cell",
]);
/** T threads work T^0.9 times as fast as one. An assumption, rounded down; see docs/how-to/clusters.md. */
const threadPower = 0.9;

/** Predicted seconds of a step on otherwise idle processors. @param threads - at least 1 */
export function predictSeconds(work: Work, size: NetworkSize, threads: number): number {
  const amounts = workOf(work, size);
  return terms.reduce(
    (sum, term) =>
      sum + (amounts[term] * secondsPerUnit[term]) / (isShared.has(term) ? threads ** threadPower : 1),
    0,
  );
}
