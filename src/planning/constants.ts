// Written by `npm run bench:costs` from bench/results/costs.csv. Processor seconds per unit of work.
import type { Term } from "./terms.js";

export const secondsPerUnit: Readonly<Record<Term, number>> = {
  process: 0.6355,
  file: 0.5218,
  "stored count read": 2.577e-8,
  "trained gene": 0,
  "trained weight": 4.29e-10,
  "fitted weight": 3.381e-10,
  "compared weight": 1.188e-10,
  "encoded gene": 7.728e-10,
  labelling: 0.8429,
  "labelled cell": 0,
  classifier: 0.5123,
  "classifier's gene": 0.001473,
  "classified cell": 0.0005788,
  parameter: 5.406e-8,
};
