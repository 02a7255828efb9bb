// Files that are not .h5ad: read if possible, otherwise one clear line on what they are and what to do.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { AnnData } from "../dist/anndata/anndata.js";
import { scpoli, temporaryFolder } from "./command.js";
import { fails } from "./compare.ts";
import { runPython } from "./python/environment.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const few = ["--epochs", "2", "--threads", "1"];
const keys = ["--condition-key", "donor", "--cell-type-key", "cell_type"];

before(async () => {
  runPython("other_files.py", folder);
  await run(0, ["train", at("plain.h5ad"), "-o", at("model"), ...keys, ...few]);
});

async function run(code: number, args: readonly string[], ...says: RegExp[]): Promise<string> {
  const { code: actualCode, stdout, stderr } = await scpoli(args);
  assert.equal(actualCode, code, stderr);
  for (const pattern of says) assert.match(stderr, pattern);
  if (code !== 0) assert.equal(stderr.trim().split("\n").length, 1, stderr);
  return stdout;
}

describe("MuData", () => {
  test("its modalities are named", async () => {
    await run(3, ["inspect", at("both.h5mu")], /is MuData with the modalities prot, rna.*--modality rna/);
    await run(3, ["inspect", at("both.h5mu"), "--modality", "atac"], /no modality 'atac'; it has prot, rna/);
    await run(3, ["inspect", at("plain.h5ad"), "--modality", "rna"], /is not a MuData file/);
  });

  test("one is read like a file, with every form of its name", async () => {
    const outcome = await run(0, ["inspect", at("both.h5mu"), "--modality", "rna"]);
    assert.match(outcome, /60 cells, 20 genes/);
    assert.match(await run(0, ["inspect", at("both.h5mu/mod/prot")]), /60 cells, 5 genes/);
    for (const data of [
      await AnnData.open(at("both.h5mu"), { modality: "rna" }),
      await AnnData.open(at("both.h5mu/rna")),
    ]) {
      assert.deepEqual([data.nObs, data.nVars, data.format], [60, 20, "modality"]);
      assert.equal((await data.var.index())[3], "gene3");
      assert.equal((await data.obs.column("donor")).kind, "categorical");
      data.close();
    }
  });

  test("trained on, mapped into a new .h5ad, converted; the file itself is never replaced", async () => {
    const rna = [at("both.h5mu"), "--modality", "rna"];
    const before = readFileSync(at("both.h5mu"));
    await run(0, ["train", ...rna, "-o", at("rna-model"), ...keys, ...few]);
    await run(0, ["map", ...rna, "--reference", at("model"), "-o", at("mapped.h5ad"), ...few]);
    const mapped = await AnnData.open(at("mapped.h5ad"));
    assert.deepEqual(mapped.var.columnNames, ["n"]);
    for (const name of ["donor", "cell_type", "cell_type_pred"])
      assert.ok(mapped.obs.columnNames.includes(name), name);
    mapped.close();
    await run(0, ["convert", ...rna, at("rna.zarr")]);
    const map = ["map", ...rna, "--reference", at("model"), "--force", "-o"];
    await run(3, [...map, at("both.h5mu")], /both\.h5mu is (also the input|already exists and is not)/);
    assert.deepEqual(readFileSync(at("both.h5mu")), before);
  });
});

describe("one clear line", () => {
  test("loom", async () => {
    await run(3, ["inspect", at("cells.loom")], /It is a loom file.*read_loom/);
  });

  test("compressed as a whole", async () => {
    writeFileSync(at("cells.h5ad.gz"), gzipSync(readFileSync(at("plain.h5ad"))));
    writeFileSync(at("object.rds"), gzipSync("X\n"));
    writeFileSync(at("cells.h5ad.zst"), Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0));
    await run(3, ["inspect", at("cells.h5ad.gz")], /compressed with gzip.*gunzip -k .*cells\.h5ad\.gz/);
    await run(3, ["inspect", at("object.rds")], /R data file/);
    await run(3, ["inspect", at("cells.h5ad.zst")], /compressed with zstd/);
  });

  test("a pipe and the standard input", async () => {
    execFileSync("mkfifo", [at("pipe")]);
    await run(3, ["inspect", at("pipe")], /pipe is a pipe; a regular file was expected/);
    await run(3, ["inspect", "-"], /standard input; a regular file/);
    await run(3, ["map", at("plain.h5ad"), "--reference", at("pipe"), "-o", at("x.h5ad")], /pipe is a pipe/);
  });

  test("an address", async () => {
    for (const address of ["https://example.org/a.h5ad", "s3://bucket/a.zarr"]) {
      await run(3, ["inspect", address], /is a URL, but only local files are read.*Download/);
      await fails(async () => void (await AnnData.open(address)), "file", /is a URL/);
    }
  });

  test("a folder: its content is listed", async () => {
    mkdirSync(at("run/outs/filtered_feature_bc_matrix"), { recursive: true });
    writeFileSync(at("run/outs/filtered_feature_bc_matrix/matrix.mtx"), "");
    await run(3, ["inspect", at("run/outs")], /It contains .*filtered_feature_bc_matrix\. Give the path/);
    mkdirSync(at("empty"));
    await run(3, ["inspect", at("empty")], /An \.h5ad file or a \.zarr folder was expected/);
  });
});

describe("tables next to a matrix", () => {
  const genes = ["A1BG", "CD3D", "MS4A1"];
  function write(name: string, features: string, barcodes = "c1\nc2\n"): string {
    mkdirSync(at(name));
    writeFileSync(
      at(`${name}/matrix.mtx`),
      "%%MatrixMarket matrix coordinate integer general\n3 2 2\n1 1 4\n3 2 5\n",
    );
    writeFileSync(at(`${name}/features.tsv`), features);
    writeFileSync(at(`${name}/barcodes.tsv`), barcodes);
    return at(name);
  }
  const lines = (line: (gene: string, row: number) => string): string => genes.map(line).join("\n");
  const cases: readonly (readonly [name: string, features: string, note: RegExp | null])[] = [
    ["quoted", lines((gene, row) => `"ENSG${row}"\t"${gene}"\t"Gene Expression"`), null],
    ["numbered", lines((gene, row) => `${row}\tENSG${row}\t${gene}\tGene Expression`), /row numbers/],
    ["numbered from 1", lines((gene, row) => `${row + 1}\tENSG${row}\t${gene}`), /row numbers/],
    ["header", `gene_id\tgene_name\n${lines((gene, row) => `ENSG${row}\t${gene}`)}`, /header: gene_id/],
    ["plain", lines((gene, row) => `ENSG${row}\t${gene}\tGene Expression\tchr1\t10\t20`), null],
  ];
  for (const [name, features, note] of cases)
    test(name, async () => {
      const data = await AnnData.open(write(name, features));
      assert.deepEqual(await data.var.index(), genes);
      const ids = await data.var.column("gene_ids");
      assert.deepEqual(ids.kind === "string" && ids.values, ["ENSG0", "ENSG1", "ENSG2"]);
      if (note) assert.match(data.notes.join(), note);
      else assert.deepEqual(data.notes, []);
      data.close();
    });

  test("quoted barcodes with a header", async () => {
    const data = await AnnData.open(
      write(
        "barcodes",
        lines((gene) => gene),
        '"x"\n"AAAC-1"\n"AAAG-1"\n',
      ),
    );
    assert.deepEqual(await data.obs.index(), ["AAAC-1", "AAAG-1"]);
    data.close();
  });
});

test("a column of var that marks genes, while the counts are in raw: by name", async () => {
  const args = ["train", at("marked.h5ad"), "-o", at("marked-model"), ...keys, ...few];
  await run(0, [...args, "--genes", "highly_variable"], /highly_variable.*8 of its 8 genes are in raw\.X/);
  const { genes } = JSON.parse(readFileSync(at("marked-model/model.json"), "utf8")) as { genes: string[] };
  assert.deepEqual(genes, ["gene5", "gene6", "gene7", "gene8", "gene9", "gene10", "gene11", "gene12"]);
  await run(
    3,
    [...args.slice(0, 2), "-o", at("none"), ...keys, "--quiet", "--genes", "highly"],
    /no column "highly"/,
  );
});

test("a query whose labels are all 'Unknown' is one without labels", async () => {
  const map = ["map", at("plain.h5ad"), "--reference", at("model"), "-o", at("unknown.h5ad")];
  await run(
    0,
    [...map, "--cell-type-key", "cell_type=none", ...few],
    /no labels in obs\['none'\]\. It is treated as unlabelled/,
  );
  assert.ok(existsSync(at("unknown.h5ad")));
});
