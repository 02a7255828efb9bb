// The command line as a user meets it: the whole job on small simulated data, its output, its messages, its
// exit codes.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { AnnData } from "../dist/anndata/anndata.js";
import { writeH5ad } from "../dist/anndata/write.js";
import { describeFailure } from "../dist/cli/failure.js";
import { version } from "../dist/contract/version.js";
import { scpoli, temporaryFolder, type Outcome } from "./command.js";
import { simulate } from "./simulate.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const keys = ["--condition-key", "donor", "--cell-type-key", "cell_type"];
const quick = ["--epochs", "60", "--threads", "1"];

/** Every file of a folder, or one file, as bytes. */
function bytesOf(path: string): Record<string, Buffer> {
  const names = existsSync(path) && !path.endsWith(".h5ad") ? readdirSync(path).sort() : [""];
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(path, name))]));
}

function json(outcome: Outcome): Record<string, unknown> {
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(outcome.stdout.trim().split("\n").length, 1, "one JSON object on stdout");
  return JSON.parse(outcome.stdout) as Record<string, unknown>;
}

before(async () => {
  await writeH5ad(at("reference.h5ad"), simulate({ conditions: ["a", "b"], seed: 1 }).data);
  await writeH5ad(at("query.h5ad"), simulate({ cells: 90, conditions: ["c"], seed: 2 }).data);
  await writeH5ad(
    at("patients.h5ad"),
    simulate({ cells: 90, conditions: ["a", "c"], seed: 3, conditionKey: "patient" }).data,
  );
});

describe("help and arguments", () => {
  test("--version prints one clean line", async () => {
    const { code, stdout, stderr } = await scpoli(["--version"]);
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `${version}\n`, stderr: "" });
  });

  const everywhere = ["--threads", "--seed", "--engine", "--simd", "--quiet", "--json", "--force"];
  const optimisation = [
    "--memory",
    "--stream",
    "--epochs",
    "--minibatch",
    "--lr",
    "--anneal-epochs",
    "--train-frac",
    "--early-stopping",
  ];
  const loss = ["--preset", "--prototype-loss", "--eta", "--eta-cross-entropy", "--type-balance"];
  const training = ["--pretraining-epochs", "--weight-decay", "--prototype-norm"];
  const flags: Readonly<Record<string, readonly string[]>> = {
    inspect: [],
    train: [
      "-o",
      "--condition-key",
      "--cell-type-key",
      "--genes",
      "--hidden",
      "--latent",
      "--embedding-dims",
      "--layer",
      "--exclude",
      "--embed",
      "--resume",
      "--checkpoint-seconds",
      "--unlabeled",
      "--inject-condition",
      "--condition-encoding",
      "--recon-loss",
      "--atac-counts",
      "--dropout",
      "--gene-map",
      "--label-map",
      "--unlabeled-prototypes",
      "--resolution",
      "--unlabeled-weight",
      ...optimisation,
      ...loss,
      ...training,
    ],
    map: [
      "--reference",
      "-o",
      "--condition-key",
      "--save-model",
      "--threshold",
      "--no-training",
      "--known-conditions",
      "--layer",
      "--atac-counts",
      "--gene-map",
      "--cell-type-key",
      "--unlabeled",
      "--label-map",
      ...loss,
      "--unlabeled-prototypes",
      "--resolution",
      "--unlabeled-weight",
      ...optimisation,
    ],
    embed: [
      "--preset",
      "--model",
      "-o",
      "--memory",
      "--condition-key",
      "--threshold",
      "--layer",
      "--atac-counts",
      "--gene-map",
      "--cell-type-key",
      "--unlabeled",
      "--label-map",
    ],
    label: [
      "-o",
      "--name",
      "--level",
      "--cluster",
      "--cells",
      "--select",
      "--condition-key",
      "--layer",
      "--gene-map",
    ],
    markers: [
      "-o",
      "--csv",
      "--groups",
      "--select",
      "--only",
      "--against",
      "--layer",
      "--top",
      "--key-added",
      "--memory",
    ],
    compare: [
      "-o",
      "--between",
      "--sample-key",
      "--within",
      "--covariates",
      "--min-cells",
      "--tables",
      "--gene-sets",
    ],
    expression: ["-o", "--as", "--average", "--genes", "--samples", "--library-size", "--condition-key"],
    demo: ["-o"],
  };
  for (const [verb, verbFlags] of Object.entries(flags))
    test(`${verb} --help names its flags`, async () => {
      const { code, stdout } = await scpoli([verb, "--help"]);
      assert.equal(code, 0);
      for (const flag of [...verbFlags, ...everywhere])
        assert.match(stdout, new RegExp(`(^|[ ,])${flag}\\b`, "m"));
    });

  test("--help names the verbs and the exit codes", async () => {
    const { code, stdout } = await scpoli(["--help"]);
    assert.equal(code, 0);
    for (const verb of Object.keys(flags)) assert.match(stdout, new RegExp(`^  ${verb} `, "m"));
    assert.match(stdout, /130 interrupted/);
  });

  const train = ["train", "x.h5ad", "-o", "m", "--condition-key", "donor"];
  const wrong: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [
      [],
      /A verb is missing: inspect, train, map, embed, label, samples, markers, compare, expression, evaluate, report, collect, plan, rounds, convert, import, export, models, app, demo/,
    ],
    [["trian"], /'trian'.*Did you mean train\?/],
    [["frobnicate"], /'frobnicate'.*scpoli --help/],
    [[...train, "--epoch", "3"], /'--epoch'.*Did you mean --epochs\?/],
    [[...train, "--n-epochs", "3"], /'--n-epochs'.*--epochs\?/],
    [[...train, "--batch-size", "3"], /Use --minibatch instead of --batch-size\./],
    [["map", "q.h5ad", "--model", "m", "-o", "x.h5ad"], /Use --reference instead of --model\./],
    [["train", "x.h5ad", "--condition-key", "donor"], /'-o, --output <model>'.*scpoli train --help/],
    [["train", "x.h5ad", "-o", "m"], /--condition-key/],
    [
      ["train", "x.h5ad", "-o", "m", "--condition-keys", "donor"],
      /Use --condition-key instead of --condition-keys\./,
    ],
    [["--seed", "3", ...train], /Flags come after the verb: scpoli train/],
    [["inspect"], /missing required argument 'file'/],
    [["inspect", "a", "b"], /too many arguments/],
    [[...train, "--threads", "0"], /--threads.*'0'.*whole number from 1/],
    [[...train, "--epochs", "many"], /--epochs.*'many'.*whole number/],
    [[...train, "--epochs", "1.5"], /--epochs.*'1\.5'.*whole number/],
    [[...train, "--dropout", "2"], /--dropout.*'2'.*number from 0/],
    [[...train, "--hidden", "64,x"], /--hidden.*whole number/],
    [[...train, "--exclude", "donor"], /--exclude.*KEY=VALUE/],
    [[...train, "--memory", "lots"], /--memory.*'lots'.*500M or 4G/],
    [[...train, "--memory", "4"], /--memory.*'4'.*500M or 4G/],
    [[...train, "--stream", "maybe"], /--stream.*auto, always, never/],
    [[...train, "--engine", "gpu"], /--engine.*wasm, reference/],
    [[...train, "--early-stopping", "maybe"], /--early-stopping.*on, off/],
    [
      ["map", "q", "--reference", "m", "-o", "x", "--threshold", "q2"],
      /--threshold.*quantile such as q0\.95/,
    ],
    [
      ["map", "q", "--reference", "m", "-o", "x", "--known-conditions", "drop"],
      /--known-conditions.*reuse, new/,
    ],
  ];
  for (const [args, says] of wrong)
    test(`scpoli ${args.join(" ")}: exit 2, one line`, async () => {
      const { code, stdout, stderr } = await scpoli(args);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, /^scpoli: error: .*\n$/);
      assert.match(stderr, says);
    });

  test("with --json an error is also one object on stdout", async () => {
    const { code, stdout } = await scpoli(["inspect", at("absent.h5ad"), "--json"]);
    assert.equal(code, 3);
    const { error } = JSON.parse(stdout) as { error: { kind: string; message: string; details: object } };
    assert.equal(error.kind, "file");
    assert.match(error.message, /absent\.h5ad/);
    assert.equal(typeof error.details, "object");
  });
});

test("errors that nobody foresaw: out of memory, or a bug with its place", () => {
  assert.deepEqual(
    [
      describeFailure(new RangeError("Array buffer allocation failed")).exitCode,
      describeFailure(new RangeError("Invalid typed array length: 1e12")).exitCode,
    ],
    [5, 5],
  );
  const bug = describeFailure(new TypeError("x is not a function"));
  assert.equal(bug.exitCode, 1);
  assert.match(bug.message, /bug in scpoli.*TypeError: x is not a function \(test\/cli\.test\.ts:\d+:\d+\)/);
});

test("train --embed with a condition left out is refused before the training", async () => {
  const { code, stderr } = await scpoli([
    "train",
    at("reference.h5ad"),
    "-o",
    at("never"),
    ...keys,
    "--exclude",
    "donor=b",
    "--embed",
    at("never.h5ad"),
  ]);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /--exclude removes all cells of donor=b\. Train without --embed, then use scpoli map/);
  assert.ok(!existsSync(at("never")), "nothing is written");
});

describe("the whole job", () => {
  let trained: Outcome;
  let mapped: Outcome;
  before(async () => {
    trained = await scpoli([
      "train",
      at("reference.h5ad"),
      "-o",
      at("model"),
      ...keys,
      ...quick,
      "--embed",
      at("embedded.h5ad"),
      "--json",
    ]);
    mapped = await scpoli([
      "map",
      at("query.h5ad"),
      "--reference",
      at("model"),
      "-o",
      at("mapped.h5ad"),
      "--save-model",
      at("model2"),
      "--threads",
      "1",
      "--json",
    ]);
  });

  test("inspect describes the content of the file", async () => {
    const inspection = json(await scpoli(["inspect", at("reference.h5ad"), "--json"]));
    assert.equal(inspection["cells"], 240);
    assert.equal(inspection["genes"], 60);
    assert.equal(inspection["obs_columns"], 2);
    assert.equal(inspection["counts"], "X");
    const columns = inspection["columns"] as { name: string; kind: string; distinct: number }[];
    assert.deepEqual(
      columns.map(({ name, distinct }) => [name, distinct]),
      [
        ["donor", 2],
        ["cell_type", 3],
      ],
    );
    const { stdout } = await scpoli(["inspect", at("reference.h5ad")]);
    assert.match(
      stdout,
      /240 cells, 60 genes[^]*scpoli train .* --condition-key donor --cell-type-key cell_type/,
    );
  });

  test("train leaves a model, the embedded file and nothing else", () => {
    json(trained);
    assert.deepEqual(readdirSync(at("model")).sort(), ["card.md", "model.json", "model.safetensors"]);
    assert.ok(existsSync(at("embedded.h5ad")));
    assert.deepEqual(
      readdirSync(folder).filter((name) => /checkpoint|tmp/.test(name)),
      [],
    );
    assert.match(
      trained.stderr,
      /pretraining: epoch 1 of 60, loss [\d.]+ \(validation [\d.]+\), [\d,]+ cells\/s/,
    );
    assert.match(trained.stderr, /fine-tuning: epoch 60 of 60/);
  });

  test("inspect reads the model folder", async () => {
    const { code, stdout } = await scpoli(["inspect", at("model")]);
    assert.equal(code, 0);
    assert.match(stdout, /donor[^]*cell_type/);
  });

  test("map writes the query with positions and labels in it, mostly right", async () => {
    json(mapped);
    const data = await AnnData.open(at("mapped.h5ad"));
    assert.equal(data.nObs, 90);
    assert.deepEqual(data.obs.columnNames, [
      "donor",
      "cell_type",
      "cell_type_pred",
      "cell_type_head",
      "cell_type_prob",
      "cell_type_uncert",
      "cell_type_novelty",
      "cell_type_unknown",
      "cell_type_distance",
    ]);
    assert.equal((await data.obsm("X_scpoli")).columns, 20);
    assert.ok(data.unsKeys.includes("scpoli"));
    const truth = simulate({ cells: 90, conditions: ["c"], seed: 2 }).types;
    const predicted = await data.obs.column("cell_type_pred");
    assert.ok(predicted.kind === "categorical");
    const right = truth.filter((type, cell) => type === predicted.categories[predicted.codes[cell]!]).length;
    data.close();
    assert.ok(right > 80, `${right} of 90 cells right`);
  });

  test("embed takes the saved model; with the first one it points to map", async () => {
    json(
      await scpoli(["embed", at("query.h5ad"), "--model", at("model2"), "-o", at("again.h5ad"), "--json"]),
    );
    const refused = await scpoli(["embed", at("query.h5ad"), "--model", at("model"), "-o", at("never.h5ad")]);
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, /'c'[^]*scpoli map/);
    assert.ok(!existsSync(at("never.h5ad")));
  });

  test("a column of another name, a known condition, no training, no threshold", async () => {
    const common = [
      "map",
      at("patients.h5ad"),
      "--reference",
      at("model"),
      "--condition-key",
      "donor=patient",
      "--no-training",
      "--threshold",
      "none",
    ];
    const { stderr, ...rest } = await scpoli([...common, "-o", at("patients-mapped.h5ad"), "--json"]);
    json({ stderr, ...rest });
    assert.match(
      stderr,
      /keep their embeddings.*donor=a/,
      "says that known conditions keep their embeddings",
    );
    const short = await scpoli([
      "map",
      at("patients.h5ad"),
      "--reference",
      at("model"),
      "--condition-key",
      "patient",
      "--no-training",
      "--threshold",
      "none",
      "-o",
      at("short.h5ad"),
      "--quiet",
    ]);
    assert.equal(short.code, 0, short.stderr);
    assert.deepEqual(bytesOf(at("short.h5ad")), bytesOf(at("patients-mapped.h5ad")));
  });

  test("flags of the data: a file of genes, cells left out, names that mean no label", async () => {
    writeFileSync(at("genes.txt"), "gene3\n\ngene5\r\n gene1 \n");
    const summary = json(
      await scpoli([
        "train",
        at("reference.h5ad"),
        "-o",
        at("small"),
        ...keys,
        "--genes",
        at("genes.txt"),
        "--exclude",
        "donor=b",
        "--unlabeled",
        "monocyte",
        "--epochs",
        "1",
        "--latent",
        "3",
        "--hidden",
        "6,4",
        "--embedding-dims",
        "2",
        "--json",
      ]),
    ) as {
      genes: number;
      conditions: object;
      cell_types: { cell_type: object };
      model: Record<string, unknown>;
    };
    assert.equal(summary.genes, 3);
    assert.deepEqual(summary.conditions, { donor: ["a"] });
    assert.deepEqual(Object.keys(summary.cell_types.cell_type), ["B cell", "T cell"]);
    assert.deepEqual(
      [summary.model["latent_dim"], summary.model["hidden_layer_sizes"], summary.model["embedding_dims"]],
      [3, [6, 4], [2]],
    );
  });

  test("likelihood, scATAC counts, one-hot conditions, no prototype loss; inspect shows them", async () => {
    const variant = [
      "--recon-loss",
      "poisson",
      "--atac-counts",
      "reads",
      "--condition-encoding",
      "one-hot",
      "--prototype-loss",
      "off",
    ];
    const { stderr, ...outcome } = await scpoli([
      "train",
      at("reference.h5ad"),
      "-o",
      at("variant"),
      ...keys,
      ...variant,
      "--epochs",
      "1",
      "--hidden",
      "8",
      "--json",
    ]);
    const {
      model,
      atac_counts: atac,
      condition_parameters: counts,
    } = json({ stderr, ...outcome }) as {
      model: Record<string, unknown>;
      atac_counts: string;
      condition_parameters: object;
    };
    assert.deepEqual(
      [model["recon_loss"], model["condition_encoding"], model["embedding_dims"], atac],
      ["poisson", "one-hot", [], "reads"],
    );
    assert.match(stderr, /X is used as scATAC read counts/);
    assert.deepEqual(counts, {
      embedding: 10 * 2 + 10 * 16,
      one_hot: 2 * 16,
      embedding_width: 10,
      widest_embedding: 32 / 18,
    });
    const { stdout } = await scpoli(["inspect", at("variant")]);
    assert.match(stdout, /likelihood +poisson, scATAC read counts converted to fragment counts/);
    assert.match(stdout, /one-hot: 32 parameters \(embeddings of 10: 180; 10 >= NH \/ \(N \+ H\) = 1\.778\)/);
    json(
      await scpoli([
        "map",
        at("query.h5ad"),
        "--reference",
        at("variant"),
        "-o",
        at("variant.h5ad"),
        "--no-training",
        "--json",
      ]),
    );
    const both = await scpoli([
      "train",
      at("reference.h5ad"),
      "-o",
      at("both"),
      ...keys,
      "--prototype-loss",
      "off",
      "--eta",
      "2",
    ]);
    assert.deepEqual([both.code, /eta is given.*"off" has no distance/.test(both.stderr)], [2, true]);
    const unknown = await scpoli([
      "train",
      at("reference.h5ad"),
      "-o",
      at("both"),
      ...keys,
      "--recon-loss",
      "gauss",
    ]);
    assert.equal(unknown.code, 2);
  });

  test("without --json people get a summary; with --quiet stderr is silent", async () => {
    const { code, stdout, stderr } = await scpoli([
      "map",
      at("query.h5ad"),
      "--reference",
      at("model"),
      "-o",
      at("quiet.h5ad"),
      "--no-training",
      "--quiet",
    ]);
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    assert.match(stdout, /90 cells[^]*cell_type[^]*B cell[^]*quiet\.h5ad/);
  });

  test("one or two threads: the same bytes of model and output", async () => {
    const two = ["--threads", "2", "--json"];
    json(
      await scpoli([
        "train",
        at("reference.h5ad"),
        "-o",
        at("threads/model"),
        ...keys,
        "--epochs",
        "60",
        "--embed",
        at("threads/embedded.h5ad"),
        ...two,
      ]),
    );
    json(
      await scpoli([
        "map",
        at("query.h5ad"),
        "--reference",
        at("threads/model"),
        "-o",
        at("threads/mapped.h5ad"),
        ...two,
      ]),
    );
    assert.deepEqual(bytesOf(at("threads/model")), bytesOf(at("model")));
    assert.deepEqual(bytesOf(at("threads/embedded.h5ad")), bytesOf(at("embedded.h5ad")));
    assert.deepEqual(bytesOf(at("threads/mapped.h5ad")), bytesOf(at("mapped.h5ad")));
  });

  test("an output that is there: a model needs --force, a column too", async () => {
    const again = ["train", at("reference.h5ad"), "-o", at("model"), ...keys, "--epochs", "1"];
    const refused = await scpoli(again);
    assert.equal(refused.code, 4);
    assert.match(refused.stderr, /already holds a model.*--force/);
    const column = [
      "map",
      at("mapped.h5ad"),
      "--reference",
      at("model"),
      "-o",
      at("twice.h5ad"),
      "--no-training",
    ];
    const withColumn = await scpoli(column);
    assert.equal(withColumn.code, 4);
    assert.match(withColumn.stderr, /cell_type_pred/);
    assert.equal((await scpoli([...column, "--force"])).code, 0);
  });
});

describe("interruptions", () => {
  const long = [
    "train",
    at("reference.h5ad"),
    ...keys,
    "--epochs",
    "1500",
    "--early-stopping",
    "off",
    "--threads",
    "1",
  ];
  const interruptAt = (pattern: RegExp, times = 1) => {
    let sent = 0;
    return (stderr: string, child: { kill(signal: "SIGINT"): boolean }): void => {
      if (sent === 0 && pattern.test(stderr)) {
        child.kill("SIGINT");
        sent = 1;
      }
      if (sent === 1 && times === 2 && /Ctrl-C again/.test(stderr)) {
        child.kill("SIGINT");
        sent = 2;
      }
    };
  };

  test("Ctrl-C leaves a checkpoint and no model; --resume gives the same bytes", async () => {
    const stopped = await scpoli([...long, "-o", at("resumed")], { onStderr: interruptAt(/epoch 1 of/) });
    assert.equal(stopped.code, 130, stopped.stderr);
    assert.match(stopped.stderr, /scpoli: error: Interrupted\. .*resumed\.checkpoint .*--resume/);
    assert.ok(!existsSync(at("resumed")));
    assert.ok(existsSync(at("resumed.checkpoint")));
    assert.equal((await scpoli([...long, "-o", `${at("resumed")}/`, "--resume"])).code, 0);
    assert.ok(!existsSync(at("resumed.checkpoint")));
    assert.equal((await scpoli([...long, "-o", at("straight")])).code, 0);
    assert.deepEqual(bytesOf(at("resumed")), bytesOf(at("straight")));
  });

  test("a second Ctrl-C ends at once, with nothing half-written", async () => {
    const stopped = await scpoli([...long, "-o", at("twice")], { onStderr: interruptAt(/epoch 1 of/, 2) });
    assert.equal(stopped.code, 130);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes("tmp") || name === "twice"),
      [],
    );
  });

  test("Ctrl-C while a query is mapped leaves nothing", async () => {
    const stopped = await scpoli(
      ["map", at("query.h5ad"), "--reference", at("model"), "-o", at("stopped.h5ad"), "--epochs", "1000000"],
      { onStderr: interruptAt(/epoch 1 of/) },
    );
    assert.equal(stopped.code, 130);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes("tmp") || name.includes("stopped")),
      [],
    );
  });

  test("a forgotten checkpoint is reported", async () => {
    const stopped = await scpoli([...long, "-o", at("forgotten")], { onStderr: interruptAt(/epoch 1 of/) });
    assert.equal(stopped.code, 130);
    const { code, stderr } = await scpoli([
      "train",
      at("reference.h5ad"),
      ...keys,
      "--epochs",
      "2",
      "-o",
      at("forgotten"),
    ]);
    assert.equal(code, 0);
    assert.match(stderr, /warning: .*forgotten\.checkpoint .*--resume/);
    const other = await scpoli([
      "train",
      at("reference.h5ad"),
      ...keys,
      "--epochs",
      "3",
      "-o",
      at("other"),
      "--resume",
    ]);
    assert.equal(other.code, 0);
    assert.match(other.stderr, /warning: There is no checkpoint/);
  });

  test("a closed pipe is no error", async () => {
    const child = spawn("bash", [
      "-o",
      "pipefail",
      "-c",
      `"$0" "$@" | head -c 1 > /dev/null`,
      process.execPath,
      new URL("../dist/cli.js", import.meta.url).pathname,
      "train",
      "--help",
    ]);
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const code = await new Promise((resolve) => child.on("close", resolve));
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  });
});

mkdirSync(at("threads"), { recursive: true });
