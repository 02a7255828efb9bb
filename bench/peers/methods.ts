// The methods of bench:peers: the commands of a run, and the columns read from its result.
import { join } from "node:path";
import { cache, folderOf, type PeerSet } from "./sets.ts";

/** A row of the table: labels of a run, and the embedding that is scored with them. */
export interface Method {
  /** name in the table */
  readonly name: string;
  /** obs column of the result */
  readonly labels: string;
  /** obsm key of the result; null: none, or scored in another row */
  readonly embedding: string | null;
}

/** Paths of a run. */
interface RunPaths {
  readonly set: PeerSet;
  readonly seed: number;
  /** output of the run, .h5ad */
  readonly result: string;
  /** folder for intermediate files */
  readonly folder: string;
}

/** One program that is run and measured. */
export interface Run {
  /** name on the command line and of files */
  readonly name: string;
  readonly methods: readonly Method[];
  /** false: results do not depend on the seed */
  readonly isRandom: boolean;
  /** default: every data set */
  readonly isFor?: (set: PeerSet) => boolean;
  /** required programs, and how to install them */
  readonly needs: readonly string[];
  /** commands to measure, in order */
  readonly commands: (paths: RunPaths) => readonly (readonly string[])[];
  /** script that makes `result` from the outputs of the commands, if they do not write it */
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

/** A run of one R script, which writes tables. */
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

/**
 * scpoli by its command line.
 * @param flags - of `train`; none: its defaults, of which the classifier on genes is scored, too
 * @param mapFlags - of `map`
 */
function scpoliRun(
  name: string,
  title: string,
  flags: readonly string[] = [],
  mapFlags: readonly string[] = [],
): Run {
  return {
    name,
    isRandom: true,
    needs: [],
    collect: "collect_ours.py",
    methods: [
      { name: title, labels: "default", embedding: "X_scpoli" },
      ...(flags.length === 0
        ? [{ name: `${title}, classifier on genes`, labels: "head", embedding: null }]
        : []),
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
          ...["--reference", model, "--output", join(folder, "query.h5ad"), ...mapFlags, ...run],
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

const published = ["--preset", "published"] as const;
export const publishedPreset = "ours, published preset";
export const publishedLonger = "ours, published preset, eta 5, 400 epochs";

/** In the order of the table. */
export const runs: readonly Run[] = [
  scpoliRun("ours", "ours"),
  scpoliRun("ours-published", publishedPreset, published, published),
  // what the runs of scArches with 400 epochs have
  scpoliRun(
    "ours-published-400",
    publishedLonger,
    [...published, ...["--epochs", "400", "--eta", "5", "--embedding-dims", "5"]],
    [...published, ...["--epochs", "400"]],
  ),
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
