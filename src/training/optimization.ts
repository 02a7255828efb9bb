// Plan of an optimisation: epochs, annealing and early stopping, from the user's options and the number of
// cells.
import {
  checkNumber,
  checkWhole,
  defaultsOf,
  distanceReductions,
  oneOf,
  prototypeLosses,
  type Defaults,
  type DistanceReduction,
  type EarlyStopping,
  type OptimizationOptions,
  type PrototypeLoss,
} from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { checkOptionNames, earlyStoppingNames } from "../contract/option-names.js";
import type { EarlyStoppingState } from "../storage/training-checkpoint.js";

/** The prototype loss and its weights. */
export interface PrototypeLossPlan {
  readonly prototypeLoss: PrototypeLoss;
  /** weight of the distance; 0 if it is not part of the loss */
  readonly eta: number;
  /** weight of the cross-entropy; 0 if it is not part of the loss */
  readonly etaCrossEntropy: number;
  /** what the distance is averaged over */
  readonly distanceReduction: DistanceReduction;
  readonly typeBalance: number;
}

/** Options of an optimisation, all resolved. */
export interface OptimizationPlan extends PrototypeLossPlan {
  readonly epochs: number;
  /** epochs before the prototype loss; equal to `epochs` without labels or prototype loss */
  readonly pretrainingEpochs: number;
  readonly minibatch: number;
  readonly lr: number;
  readonly weightDecay: number;
  /** epochs over which alpha rises from 0 to 1; 0: always 1 */
  readonly alphaEpochAnneal: number;
  readonly trainFrac: number;
  readonly prototypeNorm: number;
  readonly earlyStopping: EarlyStopping | null;
  readonly dropout: number;
  readonly seed: number;
}

/**
 * Defaults per stage: steps for 1,000 cells, and the share of the run over which alpha rises.
 */
const choices = {
  // alpha has its full weight when fine-tuning starts
  training: { steps: 4000, annealShare: "pretraining" },
  // only a few embedding rows, initialised close to their optimum
  mapping: { steps: 1000, annealShare: 0.25 },
} as const;

export type Stage = keyof typeof choices;

/**
 * Default number of epochs. The number of steps to convergence grows with the square root of the number of
 * cells. Training takes about 560 epochs on 700 cells (the published 100 are too few to converge), 130 on
 * 16,000 and 17 on a million; mapping takes a quarter of that.
 */
export function chooseEpochs(cells: number, minibatch: number, stage: Stage): number {
  const steps = choices[stage].steps * Math.sqrt(Math.max(cells, 700) / 1000);
  return Math.max(2, Math.ceil(steps / Math.ceil(cells / minibatch)));
}

/**
 * Resolves and checks the options of an optimisation.
 * @throws ScPoliError "usage" for a value out of range
 */
export function planOptimization(
  options: OptimizationOptions,
  {
    stage,
    cells,
    hasLabels,
    dropout,
    seed,
    trained,
  }: {
    stage: Stage;
    cells: number;
    hasLabels: boolean;
    dropout: number;
    seed: number;
    /** in mapping: the prototype loss of the reference */
    trained?: PrototypeLossPlan;
  },
): OptimizationPlan {
  const defaults = defaultsOf(options.preset);
  const minibatch = checkWhole("minibatch", options.minibatch ?? defaults.minibatch, 1, 65536);
  const trainFrac = checkNumber("trainFrac", options.trainFrac ?? defaults.trainFrac, 0.01, 1);
  const { epochs, pretrainingEpochs, alphaEpochAnneal } = planEpochs(
    options,
    defaults,
    chooseEpochs(Math.ceil(cells * trainFrac), minibatch, stage),
    stage,
  );
  const loss = planPrototypeLoss(options, options.preset === undefined ? (trained ?? defaults) : defaults);
  return {
    epochs,
    pretrainingEpochs: hasLabels && loss.eta + loss.etaCrossEntropy > 0 ? pretrainingEpochs : epochs,
    ...loss,
    minibatch,
    lr: checkNumber("lr", options.lr ?? defaults.lr, 0, 1),
    weightDecay: checkNumber("weightDecay", options.weightDecay ?? defaults.weightDecay, 0),
    alphaEpochAnneal: checkNumber("alphaEpochAnneal", alphaEpochAnneal, 0),
    trainFrac,
    prototypeNorm: checkNumber("prototypeNorm", options.prototypeNorm ?? defaults.prototypeNorm, 1, 100),
    earlyStopping:
      (options.earlyStopping ?? defaults.stopsEarly)
        ? checkEarlyStopping({ ...defaults.earlyStopping, ...options.earlyStopping })
        : null,
    dropout,
    seed,
  };
}

/**
 * Resolves the numbers of epochs; that of the annealing is still to be checked.
 * @param chosen - number of epochs if neither the user nor a preset gives it
 * @throws ScPoliError "usage" for a value out of range
 */
function planEpochs(
  options: OptimizationOptions,
  defaults: Defaults,
  chosen: number,
  stage: Stage,
): Pick<OptimizationPlan, "epochs" | "pretrainingEpochs" | "alphaEpochAnneal"> {
  const given = options.epochs ?? defaults.epochs;
  const epochs = checkWhole("epochs", given ?? chosen, 1, 1e6);
  const pretrainingEpochs = checkWhole(
    "pretrainingEpochs",
    options.pretrainingEpochs ?? Math.floor(epochs * defaults.pretrainingShare),
    0,
  );
  if (pretrainingEpochs > epochs)
    throw new ScPoliError(
      "usage",
      `pretrainingEpochs is ${pretrainingEpochs}; expected at most the ${epochs} epochs of the run.`,
    );
  const { annealShare } = choices[stage];
  const defaultAnneal =
    given === null
      ? (annealShare === "pretraining" ? defaults.pretrainingShare : annealShare) * epochs
      : defaults.alphaEpochAnneal;
  return { epochs, pretrainingEpochs, alphaEpochAnneal: options.alphaEpochAnneal ?? defaultAnneal };
}

/**
 * Resolves the prototype loss.
 * @param base - values of options not given
 * @throws ScPoliError "usage" for a weight that the loss does not use, or a value out of range
 */
function planPrototypeLoss(options: OptimizationOptions, base: PrototypeLossPlan): PrototypeLossPlan {
  const prototypeLoss = oneOf("prototypeLoss", options.prototypeLoss ?? base.prototypeLoss, prototypeLosses);
  const hasDistance = prototypeLoss === "distance" || prototypeLoss === "both";
  const hasCrossEntropy = prototypeLoss === "cross-entropy" || prototypeLoss === "both";
  const refuse = (name: keyof OptimizationOptions, of: string): never => {
    throw new ScPoliError(
      "usage",
      `${name} is given, but the prototype loss "${prototypeLoss}" has no ${of}; ` +
        "leave it out, or choose another loss.",
      { name, prototypeLoss },
    );
  };
  if (!hasDistance && options.eta) refuse("eta", "distance");
  if (!hasDistance && options.prototypeNorm !== undefined) refuse("prototypeNorm", "distance");
  if (!hasDistance && options.distanceReduction !== undefined) refuse("distanceReduction", "distance");
  if (!hasCrossEntropy && options.etaCrossEntropy) refuse("etaCrossEntropy", "cross-entropy");
  const distanceReduction = oneOf(
    "distanceReduction",
    options.distanceReduction ?? base.distanceReduction,
    distanceReductions,
  );
  const weighsCells = hasCrossEntropy || (hasDistance && distanceReduction === "cell-mean");
  if (!weighsCells && options.typeBalance)
    refuse(
      "typeBalance",
      'cross-entropy, nor a distance averaged over cells (distanceReduction "cell-mean")',
    );
  const weight = (name: "eta" | "etaCrossEntropy", has: boolean): number =>
    has ? checkNumber(name, options[name] ?? base[name], 0) : 0;
  return {
    prototypeLoss,
    eta: weight("eta", hasDistance),
    etaCrossEntropy: weight("etaCrossEntropy", hasCrossEntropy),
    distanceReduction,
    typeBalance: weighsCells ? checkNumber("typeBalance", options.typeBalance ?? base.typeBalance, 0, 1) : 0,
  };
}

/**
 * Checks that the loss has a distance: unlabelled cells have no type and hence no cross-entropy.
 * @throws ScPoliError "usage"
 */
export function checkUnlabeledLoss({ prototypeLoss, eta }: PrototypeLossPlan): void {
  if (eta === 0)
    throw new ScPoliError(
      "usage",
      "unlabeledWeight weights the distance of unlabelled cells to their prototypes, but the prototype " +
        "loss " +
        `"${prototypeLoss}" has no distance, or eta is 0; choose "distance" or "both", or leave it out.`,
      { prototypeLoss, eta },
    );
}

function checkEarlyStopping(options: EarlyStopping): EarlyStopping {
  checkOptionNames("earlyStopping", options, earlyStoppingNames);
  checkWhole("earlyStopping.patience", options.patience, 1);
  checkWhole("earlyStopping.lrPatience", options.lrPatience, 1);
  checkNumber("earlyStopping.threshold", options.threshold, 0);
  checkNumber("earlyStopping.lrFactor", options.lrFactor, 0, 1);
  return options;
}

export function startEarlyStopping(): EarlyStoppingState {
  return { best: null, bestEpoch: -1, waited: 0, lrWaited: 0, reductions: 0 };
}

/**
 * Updates early stopping with the metric of one epoch.
 * @returns whether it is the best so far, and whether training stops
 */
export function observe(
  state: EarlyStoppingState,
  metric: number,
  epoch: number,
  options: EarlyStopping,
): { improved: boolean; stop: boolean } {
  const improved = state.best === null || metric < state.best - options.threshold;
  if (improved) {
    Object.assign(state, { best: metric, bestEpoch: epoch, waited: 0, lrWaited: 0 });
    return { improved, stop: false };
  }
  state.waited++;
  state.lrWaited++;
  if (options.reduceLr && state.lrWaited >= options.lrPatience) {
    state.reductions++;
    state.lrWaited = 0;
  }
  return { improved, stop: state.waited >= options.patience };
}
