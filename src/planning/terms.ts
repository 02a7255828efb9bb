// Terms of the formula of predicted times, which its constants and the script that fits them share.

/** Terms of the formula, in the order of their constants. */
export const terms = [
  "process",
  "file",
  "stored count read",
  "trained gene",
  "trained weight",
  "fitted weight",
  "compared weight",
  "encoded gene",
  "labelling",
  "labelled cell",
  "classifier",
  "classifier's gene",
  "classified cell",
  "parameter",
] as const;
export type Term = (typeof terms)[number];
