// Invalid inputs of every kind: one clear error that names what was found and where, and the right exit code.
// Unusual but valid inputs must work.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as hdf5 from "h5wasm/node";
import { writeH5ad, type NewAnnData } from "../dist/anndata/write.js";
import { scpoli, temporaryFolder } from "./command.js";
import { simulate } from "./simulate.js";
import { smallDisk } from "./small-disk.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const cells = 60;
const genes = 20;
const good = simulate({ cells, genes });
const training = [
  "--condition-key",
  "donor",
  "--cell-type-key",
  "cell_type",
  "--epochs",
  "2",
  "--threads",
  "1",
];

/** Writes a variant of the good file. */
async function variant(name: string, change: Partial<NewAnnData>): Promise<void> {
  await writeH5ad(at(name), { ...good.data, ...change });
}

/** The good counts with one value replaced. */
function withValue(cell: number, gene: number, value: number): NewAnnData["X"] {
  const values = good.counts.slice();
  values[cell * genes + gene] = value;
  return { rows: cells, columns: genes, values };
}

/** obs with a column replaced or added. */
function withColumn(key: string, values: readonly (string | null)[]): NewAnnData["obs"] {
  return {
    ...good.data.obs,
    columns: { ...good.data.obs.columns, [key]: { kind: "string", length: cells, values } },
  };
}

const train = (file: string, ...more: string[]): string[] => [
  "train",
  at(file),
  "-o",
  at(`model of ${file}`),
  ...training,
  ...more,
];
const map = (file: string, ...more: string[]): string[] => [
  "map",
  at(file),
  "--reference",
  at("model"),
  "-o",
  at(`mapped ${file}`),
  "--no-training",
  "--threads",
  "1",
  ...more,
];

async function fails(args: readonly string[], code: number, ...says: RegExp[]): Promise<void> {
  const outcome = await scpoli(args);
  assert.equal(outcome.code, code, outcome.stderr);
  assert.equal(outcome.stdout, "");
  const [, error, ...more] = outcome.stderr.split(/^scpoli: error: /m);
  assert.ok(error !== undefined && more.length === 0, `one error: ${outcome.stderr}`);
  assert.doesNotMatch(outcome.stderr, /\n {4}at |bug in scpoli/);
  for (const pattern of says) assert.match(error, pattern);
  const output = args[args.indexOf("-o") + 1]!;
  if (args.includes("-o") && output !== args[1])
    assert.ok(!existsSync(output), `${output} must not be there`);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith(".tmp")),
    [],
  );
}

async function works(args: readonly string[], ...says: RegExp[]): Promise<void> {
  const outcome = await scpoli(args);
  assert.equal(outcome.code, 0, outcome.stderr);
  for (const pattern of says) assert.match(outcome.stderr, pattern);
}

before(async () => {
  await writeH5ad(at("good.h5ad"), good.data);
  const made = await scpoli(["train", at("good.h5ad"), "-o", at("model"), ...training]);
  assert.equal(made.code, 0, made.stderr);
});

describe("files", () => {
  test("missing", () => fails(train("absent.h5ad"), 3, /absent\.h5ad.*no such file/));

  test("a folder", () => {
    mkdirSync(at("folder.h5ad"));
    return fails(train("folder.h5ad"), 3, /folder\.h5ad.*folder/);
  });

  test("empty", () => {
    writeFileSync(at("empty.h5ad"), "");
    return fails(train("empty.h5ad"), 3, /empty\.h5ad.*empty|empty\.h5ad.*HDF5/);
  });

  test("not HDF5", () => {
    writeFileSync(at("text.h5ad"), "gene,cell1,cell2\nCD3D,1,0\n".repeat(200));
    return fails(train("text.h5ad"), 3, /text\.h5ad.*not an? HDF5/i);
  });

  test("cut off", () => {
    copyFileSync(at("good.h5ad"), at("cut.h5ad"));
    truncateSync(at("cut.h5ad"), Math.floor(statSync(at("good.h5ad")).size / 2));
    return fails(train("cut.h5ad"), 3, /cut\.h5ad.*(truncated|cut off|incomplete)/i);
  });

  test("HDF5 but not AnnData", async () => {
    await hdf5.ready;
    const file = new hdf5.File(at("other.h5ad"), "w");
    file.create_dataset({ name: "matrix", data: new Float32Array(6), shape: [2, 3] });
    file.close();
    await fails(train("other.h5ad"), 3, /other\.h5ad.*AnnData.*obs/);
  });

  test("inspect describes all that is readable, and ends with 3 if a part is not", async () => {
    const filters = fileURLToPath(new URL("fixtures/filters.h5ad", import.meta.url));
    const { code, stdout, stderr } = await scpoli(["inspect", filters]);
    assert.equal(code, 3);
    assert.match(stdout, /lzf +string +\d+ distinct/);
    assert.match(stdout, /Cannot be read: .*obs\/bzip2, .*layers\/zfp/);
    assert.match(stderr, /warning: .*obs\/bzip2 cannot be read: it is compressed with bz2/);
    assert.doesNotMatch(stderr, /Aborted|error/);
    const json = await scpoli(["inspect", filters, "--json", "--quiet"]);
    assert.equal(json.code, 3);
    const { unreadable } = JSON.parse(json.stdout) as { readonly unreadable: readonly string[] };
    assert.ok(unreadable.includes("obs/bzip2"));
    assert.equal((await scpoli(["inspect", at("good.h5ad")])).code, 0);
  });

  test("no X, no raw, no layers", async () => {
    await variant("no-x.h5ad", { X: null });
    await fails(train("no-x.h5ad"), 3, /no-x\.h5ad[^]*no X|no-x\.h5ad[^]*X: (none|missing|not there)/);
    await fails(map("no-x.h5ad"), 3, /no-x\.h5ad[^]*no X|no-x\.h5ad[^]*X: (none|missing|not there)/);
  });
});

describe("values", () => {
  const bad: readonly (readonly [name: string, value: number, says: RegExp])[] = [
    ["negative", -3, /-3/],
    ["NaN", NaN, /NaN/],
    ["infinite", Infinity, /[Ii]nfinity|infinite/],
    ["fractional", 2.5, /2\.5/],
  ];
  for (const [name, value, says] of bad)
    test(`${name}: cell and gene are named`, async () => {
      await variant(`${name}.h5ad`, { X: withValue(41, 7, value) });
      await fails(train(`${name}.h5ad`), 3, says, /cell41/, /gene7/, /X/);
      await fails(map(`${name}.h5ad`), 3, says, /cell41/, /gene7/, /X/);
    });

  test("normalised values everywhere: the error describes each matrix", async () => {
    await variant("normalised.h5ad", {
      X: { rows: cells, columns: genes, values: good.counts.map((value) => Math.log1p(value / 3)) },
    });
    await fails(train("normalised.h5ad"), 3, /counts/, /X/, /raw/);
  });

  test("an all-zero cell is kept and handled", async () => {
    const values = good.counts.slice();
    values.fill(0, 5 * genes, 6 * genes);
    await variant("zero-cell.h5ad", { X: { rows: cells, columns: genes, values } });
    await works(train("zero-cell.h5ad"), /1 cell has no count/);
    await works(map("zero-cell.h5ad"));
  });
});

describe("columns", () => {
  test("a key that is not in obs: the nearest names are offered", async () => {
    await fails(
      [
        "train",
        at("good.h5ad"),
        "-o",
        at("never"),
        "--condition-key",
        "donr",
        "--cell-type-key",
        "cell_type",
      ],
      3,
      /["']donr["']/,
      /["']donor["']/,
    );
    await fails(
      [
        "train",
        at("good.h5ad"),
        "-o",
        at("never"),
        "--condition-key",
        "donor",
        "--cell-type-key",
        "celltype",
      ],
      3,
      /["']celltype["']/,
      /["']cell_type["']/,
    );
    await fails(train("good.h5ad", "--exclude", "donro=a"), 3, /["']donro["']/, /["']donor["']/);
    await fails(train("good.h5ad", "--exclude", "donor=z"), 3, /["']z["']/, /'a', 'b'/);
    await fails(train("good.h5ad", "--layer", "cuonts"), 3, /cuonts/);
    await fails(train("good.h5ad", "--genes", "highly_variable"), 3, /highly_variable/);
    await fails(map("good.h5ad", "--condition-key", "patient"), 3, /["']patient["']/);
    await fails(map("good.h5ad", "--condition-key", "sample=donor"), 2, /sample=donor/, /["']donor["']/);
  });

  test("a condition key with one value works: the dummy covariate of the paper", async () => {
    await variant("one-condition.h5ad", { obs: withColumn("donor", Array<string>(cells).fill("all")) });
    await works(train("one-condition.h5ad"), /one value, 'all'/);
  });

  test("a condition per cell is refused with a reason", async () => {
    await variant("own-condition.h5ad", { obs: withColumn("donor", good.data.obs.index) });
    await fails(
      train("own-condition.h5ad"),
      4,
      /'donor'/,
      /different value for each of the 60 cells/,
      /--force/,
    );
  });

  test("a cell without a condition is named", async () => {
    await variant("no-condition.h5ad", {
      obs: withColumn(
        "donor",
        good.conditions.map((name, cell) => (cell === 13 ? null : name)),
      ),
    });
    await fails(train("no-condition.h5ad"), 3, /'donor'/, /1 of 60/, /cell13/);
  });

  test("no cells, or no genes", async () => {
    await variant("no-cells.h5ad", {
      X: { rows: 0, columns: genes, values: new Float32Array(0) },
      obs: {
        index: [],
        columns: { donor: { kind: "string", length: 0, values: [] } },
      },
    });
    await variant("no-genes.h5ad", {
      X: { rows: cells, columns: 0, values: new Float32Array(0) },
      var: { index: [] },
    });
    for (const [file, says] of [
      ["no-cells.h5ad", /X: empty \(0 cells x 20 genes\)[^]*There are no cells/],
      ["no-genes.h5ad", /X: empty \(60 cells x 0 genes\)[^]*There are no genes/],
    ] as const) {
      await fails(map(file), 3, says);
      await fails(["train", at(file), "-o", at("none"), "--condition-key", "donor"], 3, says);
      await fails(["convert", at(file), at("none.h5ad")], 3, says);
      assert.match((await scpoli(["inspect", at(file)])).stdout, /No raw counts/);
    }
  });

  test("cell type key all missing", async () => {
    await variant("no-types.h5ad", {
      obs: withColumn(
        "cell_type",
        good.types.map((_, cell) => [null, "", "NaN", "Unknown", "unassigned"][cell % 5]!),
      ),
    });
    await fails(train("no-types.h5ad"), 3, /'cell_type'/, /no label for any of 60 cells/);
  });

  test("duplicated gene names; those of cells do no harm", async () => {
    await variant("twin-genes.h5ad", {
      var: { index: Array.from({ length: genes }, (_, gene) => `gene${gene === 9 ? 3 : gene}`) },
    });
    await fails(train("twin-genes.h5ad"), 3, /gene3/, /more than once|duplicated/, /var_names_make_unique/);
    await fails(map("twin-genes.h5ad"), 3, /gene3/);
    await variant("twin-cells.h5ad", {
      obs: {
        ...good.data.obs,
        index: good.data.obs.index.map((name, cell) => (cell === 8 ? "cell2" : name)),
      },
    });
    await works(train("twin-cells.h5ad"));
    await works(map("twin-cells.h5ad"));
  });
});

describe("genes of a query", () => {
  const renamed = (kept: number): NewAnnData["var"] => ({
    index: Array.from({ length: genes }, (_, gene) => (gene < kept ? `gene${gene}` : `ENSG${gene}`)),
  });

  test("no common genes", async () => {
    await variant("none.h5ad", { var: renamed(0) });
    await fails(map("none.h5ad"), 3, /None of the model's 20 genes/, /gene0/, /ENSG0/);
    await fails(map("none.h5ad", "--force"), 3, /None of the model's 20 genes/);
  });

  test("under half: refused, unless forced", async () => {
    await variant("few.h5ad", { var: renamed(9) });
    await fails(map("few.h5ad"), 4, /9 of the model's 20 genes \(45 %\)/, /--force/);
    await works(map("few.h5ad", "--force"), /warning: 9 of the model's 20 genes/);
  });

  test("under 80 %: a warning", async () => {
    await variant("some.h5ad", { var: renamed(15) });
    await works(map("some.h5ad"), /warning: 15 of the model's 20 genes \(75 %\)/);
  });
});

describe("model folders", () => {
  const mapWith = (model: string): string[] => [
    "map",
    at("good.h5ad"),
    "--reference",
    at(model),
    "-o",
    at("never.h5ad"),
  ];
  const damaged = (name: string, change: (folder: string) => void): string[] => {
    cpSync(at("model"), at(name), { recursive: true });
    change(at(name));
    return mapWith(name);
  };
  const editJson = (folder: string, edit: (json: Record<string, unknown>) => void): void => {
    const path = join(folder, "model.json");
    const json = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    edit(json);
    writeFileSync(path, JSON.stringify(json));
  };

  test("missing, or a file", async () => {
    await fails(mapWith("nowhere"), 3, /nowhere/);
    await fails(mapWith("good.h5ad"), 3, /good\.h5ad/);
  });

  test("from elsewhere", () => {
    mkdirSync(at("elsewhere"));
    writeFileSync(at("elsewhere/attr.pkl"), "x");
    writeFileSync(at("elsewhere/model_params.pt"), "x");
    return fails(mapWith("elsewhere"), 3, /elsewhere/, /attr\.pkl is damaged or not a pickle/);
  });

  test("from a newer version", () =>
    fails(
      damaged("newer", (path) => editJson(path, (json) => (json["format_version"] = 99))),
      3,
      /newer/,
      /99/,
    ));
  test("model.json that is not JSON", () =>
    fails(
      damaged("not-json", (path) => writeFileSync(join(path, "model.json"), "{")),
      3,
      /model\.json/,
    ));
  test("model.json without its genes", () =>
    fails(
      damaged("no-genes", (path) => editJson(path, (json) => delete json["genes"])),
      3,
      /genes/,
    ));
  test("weights cut off", () =>
    fails(
      damaged("cut-model", (path) => truncateSync(join(path, "model.safetensors"), 1000)),
      3,
      /model\.safetensors/,
    ));
  test("weights of another shape", () =>
    fails(
      damaged("shape", (path) =>
        editJson(path, (json) => (json["genes"] = (json["genes"] as string[]).slice(1))),
      ),
      3,
      /shape|19/,
    ));
});

describe("outputs", () => {
  test("no such folder", async () => {
    await fails(
      ["train", at("good.h5ad"), "-o", at("no/such/model"), ...training],
      3,
      /no\/such\/model/,
      /no folder/,
    );
    await fails(
      ["map", at("good.h5ad"), "--reference", at("model"), "-o", at("no/such/file.h5ad")],
      3,
      /no\/such\/file\.h5ad/,
      /no folder/,
    );
  });

  test("a place where nobody may write", { skip: process.platform === "linux" ? false : "needs /sys" }, () =>
    fails(
      ["map", at("good.h5ad"), "--reference", at("model"), "-o", "/sys/out.h5ad"],
      3,
      /\/sys\/out\.h5ad/,
      /cannot be written/,
    ),
  );

  test("the output is the input, also through a link", async () => {
    const before = readFileSync(at("good.h5ad"));
    symlinkSync(at("good.h5ad"), at("link.h5ad"));
    for (const output of ["good.h5ad", "link.h5ad", "../" + folder.split("/").at(-1) + "/good.h5ad"]) {
      const { code, stderr } = await scpoli([
        "map",
        at("good.h5ad"),
        "--reference",
        at("model"),
        "-o",
        join(folder, output),
      ]);
      assert.equal(code, 3, stderr);
      assert.match(stderr, /is also the input/);
    }
    assert.deepEqual(readFileSync(at("good.h5ad")), before);
  });

  test("zero threads", () => fails(map("good.h5ad", "--threads", "0"), 2, /--threads/, /'0'/));

  test("disk full: an error, and nothing is left", async (context) => {
    const disk = smallDisk(context, at("disk"));
    if (disk === null) return;
    const values = new Float32Array(4000 * genes).fill(1);
    await writeH5ad(at("large.h5ad"), {
      X: { rows: 4000, columns: genes, values },
      obs: {
        index: Array.from({ length: 4000 }, (_, cell) => `cell${cell}`),
        columns: { donor: { kind: "string", length: 4000, values: Array<string>(4000).fill("a") } },
      },
      var: good.data.var,
    });
    const { code, stderr } = await scpoli([
      "map",
      at("large.h5ad"),
      "--reference",
      at("model"),
      "-o",
      join(disk, "mapped.h5ad"),
      "--no-training",
    ]);
    assert.equal(code, 3, stderr);
    assert.match(stderr, /scpoli: error: .*disk\/mapped\.h5ad.*no space left/);
    const trained = await scpoli([
      "train",
      at("good.h5ad"),
      "-o",
      join(disk, "model"),
      ...training,
      "--hidden",
      "4096",
    ]);
    assert.equal(trained.code, 3, trained.stderr);
    assert.match(trained.stderr, /scpoli: error: .*disk\/model.*no space left/);
    assert.deepEqual(readdirSync(disk), []);
  });

  test(
    "a limit on the size of files",
    { skip: process.platform === "win32" ? "needs ulimit" : false },
    async () => {
      const command = fileURLToPath(new URL("../dist/cli.js", import.meta.url));
      const limited = spawn("bash", [
        "-c",
        `ulimit -f 16; exec "$@"`,
        "limited",
        process.execPath,
        command,
        ...train("good.h5ad", "--hidden", "512"),
      ]);
      let stderr = "";
      limited.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
      const code = await new Promise((resolve) => limited.on("close", resolve));
      assert.equal(code, 3, stderr);
      assert.match(
        stderr,
        /scpoli: error: .*model of good\.h5ad\/model\.safetensors cannot be written: the file would become larger/,
      );
      assert.deepEqual(
        readdirSync(folder).filter((name) => name.endsWith(".tmp") || name === "model of good.h5ad"),
        [],
      );
    },
  );

  test("killed in the middle of writing: the old file stays whole, the next run works", async () => {
    const out = at("killed.h5ad");
    copyFileSync(at("good.h5ad"), out);
    const old = readFileSync(out);
    const child = spawn(process.execPath, [
      fileURLToPath(new URL("../dist/cli.js", import.meta.url)),
      "map",
      at("good.h5ad"),
      "--reference",
      at("model"),
      "-o",
      out,
      "--epochs",
      "1000000",
      "--force",
    ]);
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const isWriting = (): boolean =>
      readdirSync(folder).some(
        (name) => name.startsWith(".killed.h5ad") && statSync(at(name), { throwIfNoEntry: false })?.size,
      );
    while (child.exitCode === null && !isWriting()) await new Promise((resolve) => setTimeout(resolve, 1));
    child.kill("SIGKILL");
    await new Promise((resolve) => child.on("close", resolve));
    assert.equal(child.signalCode, "SIGKILL", stderr);
    assert.deepEqual(readFileSync(out), old);
    await works(["map", at("good.h5ad"), "--reference", at("model"), "-o", out, "--no-training", "--force"]);
    assert.equal((await scpoli(["inspect", out])).code, 0);
  });
});
