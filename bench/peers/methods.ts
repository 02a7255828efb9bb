// The methods of bench:peers: which commands a run is, and what is read from its result.
import { join } from "node:path";
import { cache, folderOf, type PeerSet } from "./sets.ts";

/** A row of the table: labels of a run, and the embedding that is scored beside them. */
export interface Method {
  /** as in the table */
  readonly name: string;
  /** obs column of the result */
  readonly labels: string;
  /** obsm key of the result; null: the method has none, or another row has its scores */
  readonly embedding: string | null;
}

/** Where a run reads and writes. */
export interface Place {
  readonly set: PeerSet;
  readonly seed: number;
  /** .h5ad that the run is to write */
  readonly result: string;
  /** a folder of its own for what lies between */
  readonly folder: string;
}

/** One program that is run and measured. */
export interface Run {
  /** name on the command line and of files */
  readonly name: string;
  readonly methods: readonly Method[];
  /** false: a second seed gives the same */
  readonly isRandom: boolean;
  /** default: every data set */
  readonly isFor?: (set: PeerSet) => boolean;
  /** programs that must be there, and what to do where they are not */
  readonly needs: readonly string[];
  /** measured, one after the other */
  readonly commands: (place: Place) => readonly (readonly string[])[];
  /** script that makes `result` of what the commands have left, where they do not write it themselves */
  readonly collect?: "collect_tables.py" | "collect_ours.py";
}

const here = new URL(".", import.meta.url).pathname;
const root = new URL("../..", import.meta.url).pathname;
export const script = (name: string): string => join(here, name);
const environment = (name: string): string =>
  process.env[`SCPOLI_PEERS_${name.toUpperCase()}`] ?? join(cache, `env/${name}/bin/python`);
export const python = environment("python");
const scArches = environment("scarches");
const popv = environment("popv");
const rscript = process.env["SCPOLI_PEERS_R"] ?? "/usr/bin/Rscript";

/** A run of one Python script. */
function byPython(
  name: string,
  file: string,
  {
    program = python,
    args = () => [],
    ...run
  }: Pick<Run, "methods" | "isRandom" | "isFor"> & {
    program?: string;
    args?: (set: PeerSet) => readonly string[];
  },
): Run {
  return {
    ...run,
    name,
    needs: [program],
    commands: ({ set, seed, result }) => [
      [program, "-W", "ignore", script(file), folderOf(set), result, String(seed), ...args(set)],
    ],
  };
}

/** A run of one R script, which leaves tables. */
function byR(name: string, file: string, method: Method, ...args: string[]): Run {
  return {
    name,
    methods: [method],
    isRandom: false,
    needs: [rscript, python],
    commands: ({ set, folder }) => [[rscript, script(file), folderOf(set), folder, ...args]],
    collect: "collect_tables.py",
  };
}

/** Ours by the command line, as users call it. */
function ours(name: string, title: string, flags: readonly string[]): Run {
  return {
    name,
    isRandom: true,
    needs: [],
    collect: "collect_ours.py",
    methods: [
      { name: title, labels: "default", embedding: "X_scpoli" },
      { name: `${title}, nearest prototype`, labels: "prototype", embedding: null },
      { name: `${title}, 15 neighbours`, labels: "neighbors", embedding: null },
    ],
    commands: ({ set, seed, folder }) => {
      const scpoli = [process.execPath, join(root, "dist/cli.js")];
      const run = ["--seed", String(seed), "--threads", "1", "--force", "--quiet"];
      const data = set.likelihood
        ? ["--recon-loss", set.likelihood, "--atac-counts", "fragments"]
        : ["--genes", "variable"];
      const [model, prepared] = [join(folder, "model"), folderOf(set)];
      return [
        [
          ...scpoli,
          "train",
          join(prepared, "reference.h5ad"),
          ...["--output", model, "--embed", join(folder, "reference.h5ad")],
          ...["--condition-key", "condition", "--cell-type-key", "cell_type"],
          ...[...data, ...flags, ...run],
        ],
        [
          ...scpoli,
          "map",
          join(prepared, "query.h5ad"),
          ...["--reference", model, "--output", join(folder, "query.h5ad"), ...run],
        ],
      ];
    },
  };
}

const likelihoodOf = ({ likelihood }: PeerSet): string[] => (likelihood ? [likelihood] : []);
const scPoli = (epochs: number, isFor?: Run["isFor"]): Run =>
  byPython(`scarches-${epochs}`, "scarches_scpoli.py", {
    isFor,
    program: scArches,
    isRandom: true,
    methods: [
      { name: `scArches scPoli, ${epochs} epochs`, labels: "prototype", embedding: "X_scpoli" },
      { name: `scArches scPoli, ${epochs} epochs, 15 neighbours`, labels: "neighbors", embedding: null },
    ],
    args: (set) => [String(epochs), ...likelihoodOf(set)],
  });
const onGenes = (name: string, title: string): Run =>
  byPython(name, "classifiers.py", {
    isRandom: false,
    methods: [{ name: title, labels: "classifier", embedding: null }],
    args: () => [name],
  });
const joint = (name: string, title: string): Run =>
  byPython(name, "integration.py", {
    isRandom: true,
    methods: [{ name: `${title}, 15 neighbours`, labels: "neighbors", embedding: "X_integrated" }],
    args: () => [name],
  });
const seurat = (reduction: string, title: string): Run =>
  byR(
    `seurat-${reduction}`,
    "seurat.R",
    { name: `Seurat 4.3, anchors, ${title}`, labels: "transfer", embedding: "X_components" },
    reduction,
  );

/** In the order of the table. */
export const runs: readonly Run[] = [
  ours("ours", "ours", []),
  ours("ours-published", "ours, published preset", ["--preset", "published"]),
  // an epoch of 10,000 peaks takes as long as ten of 1,000 genes
  scPoli(20, ({ likelihood }) => likelihood !== undefined),
  scPoli(100),
  scPoli(400),
  byPython("scvi", "scvi_surgery.py", {
    isRandom: true,
    methods: [
      { name: "scVI, surgery, 15 neighbours", labels: "scvi_neighbors", embedding: "X_scvi" },
      { name: "scANVI, surgery", labels: "scanvi_classifier", embedding: "X_scanvi" },
    ],
    args: likelihoodOf,
  }),
  joint("harmony", "Harmony"),
  joint("scanorama", "Scanorama"),
  seurat("pca", "PCA"),
  seurat("spca", "supervised PCA"),
  byPython("pca", "classifiers.py", {
    isRandom: false,
    methods: [{ name: "PCA, 15 neighbours", labels: "neighbors", embedding: "X_pca" }],
    args: () => ["pca"],
  }),
  onGenes("svm", "linear SVM on genes"),
  onGenes("logistic", "logistic regression on genes"),
  byPython("celltypist", "celltypist_labels.py", {
    isRandom: false,
    methods: [
      { name: "CellTypist", labels: "best", embedding: null },
      { name: "CellTypist, majority voting", labels: "majority", embedding: null },
    ],
  }),
  byR("singler", "singler.R", { name: "SingleR", labels: "best", embedding: null }),
  byPython("popv", "popv_consensus.py", {
    program: popv,
    isRandom: true,
    methods: [{ name: "popV, consensus", labels: "consensus", embedding: null }],
  }),
];
