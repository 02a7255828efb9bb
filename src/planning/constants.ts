// Written by `npm run bench:costs` from bench/results/costs.csv. Processor seconds per unit of work.
import type { Term } from "./terms.js";

export const secondsPerUnit: Readonly<Record<Term, number>> = {
  process: 0.6354,
  file: 0.5218,
  "stored count read": 2.584e-8,
  "trained gene": 0,
  "trained weight": 4.288e-10,
  "fitted weight": 3.909e-10,
  "encoded gene": 7.574e-10,
  labelling: 0.853,
  "labelled cell": 0,
  classifier: 0.5124,
  "classifier's gene": 0.001473,
  "classified cell": 0.0005789,
  parameter: 5.432e-8,
};
