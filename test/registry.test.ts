// Published models: indexes and models from a local server that also misbehaves. Every failure is a named
// error, and the cache stays intact.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { zipSync } from "fflate";
import type { Note } from "../dist/contract/options.js";
import {
  isName,
  newest,
  parseModelName,
  readIndex,
  type IndexEntry,
} from "../dist/cli/registry/index-file.js";
import { modelPath, Registry } from "../dist/cli/registry/registry.js";
import { ScPoliError, type ErrorKind } from "../dist/contract/errors.js";
import { proxyFor } from "../dist/platform/http-node.js";
import { ScPoli } from "../dist/api/scpoli.js";
import { scpoli, temporaryFolder } from "./command.js";

const models = fileURLToPath(new URL("fixtures/scarches/", import.meta.url));
const folder = temporaryFolder();
const at = (...names: string[]): string => join(folder, ...names);
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

let content: Buffer;
let entry: IndexEntry;
let server: Server;
let url: string;
/** requests received by the server, and its behaviour */
const asked: { path: string; range: string | undefined; host: string | undefined }[] = [];
type Answer = (request: IncomingMessage, response: ServerResponse) => void;
const answers = new Map<string, Answer>();

const whole: Answer = (request, response) => {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const rest = content.subarray(from);
  response.writeHead(from > 0 ? 206 : 200, {
    "Content-Length": rest.length,
    ...(from > 0 && { "Content-Range": `bytes ${from}-${content.length - 1}/${content.length}` }),
  });
  response.end(rest);
};
const text =
  (body: string, status = 200, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response.writeHead(status, headers).end(body);

const indexOf = (...entries: readonly object[]): string => JSON.stringify({ format: 1, models: entries });

before(async () => {
  await (await ScPoli.import(join(models, "reference"))).save(at("model.zip"));
  content = readFileSync(at("model.zip"));
  entry = {
    name: "atlas",
    version: "1.0",
    urls: ["models/atlas.zip"],
    bytes: content.length,
    sha256: digest(content),
    format_version: 6,
    description: "",
    licence: "CC0-1.0",
    organism: "Homo sapiens",
    tissue: "blood",
    cells: 60,
    genes: 20,
    gene_ids: "symbols",
    condition_keys: ["donor"],
    cell_type_keys: ["cell_type"],
    cell_types: 4,
    doi: "",
    card: "# A card",
  };
  server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.push({ path, range: request.headers.range, host: request.headers.host });
    (answers.get(path) ?? text("not there", 404))(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))));

let caches = 0;
let notes: Note[] = [];
const settings = { onNote: (note: Note): void => void notes.push(note) };
beforeEach(() => {
  process.env["SCPOLI_CACHE"] = at(`cache ${caches++}`);
  process.env["SCPOLI_MODELS"] = `${url}/`;
  for (const name of ["http_proxy", "HTTP_PROXY", "SCPOLI_OFFLINE"]) delete process.env[name];
  asked.length = 0;
  notes = [];
  answers.clear();
  answers.set("/index.json", text(indexOf(entry)));
  answers.set("/models/atlas.zip", whole);
});

function fails(says: RegExp, kind: ErrorKind = "file") {
  return (error: unknown): boolean => {
    assert.ok(error instanceof ScPoliError, String(error));
    assert.match(error.message, says);
    assert.equal(error.kind, kind);
    return true;
  };
}
const pull = async (name = "atlas", options = {}): Promise<string> => {
  const registry = await Registry.open(settings, options);
  return registry.pull(registry.entry(name), settings);
};
/** Files in the cache of models. */
const kept = (): string[] => {
  const path = join(process.env["SCPOLI_CACHE"]!, "models");
  return existsSync(path) ? readdirSync(path) : [];
};

describe("a model", () => {
  test("is pulled once, checked, and kept under its checksum", async () => {
    const path = await pull();
    assert.deepEqual(readFileSync(path), content);
    assert.deepEqual(kept(), [`${entry.sha256}.zip`]);
    assert.equal(await pull("atlas@1.0"), path);
    assert.equal(asked.filter(({ path: asking }) => asking.endsWith(".zip")).length, 1);
  });

  test("resumes if the server cuts it short", async () => {
    let first = true;
    answers.set("/models/atlas.zip", (request, response) => {
      if (!first) return whole(request, response);
      first = false;
      response.writeHead(200, { "Content-Length": content.length });
      response.write(content.subarray(0, 2000));
      setTimeout(() => response.destroy(), 300);
    });
    assert.deepEqual(readFileSync(await pull()), content);
    assert.deepEqual(
      asked.filter(({ path }) => path.endsWith(".zip")).map(({ range }) => range),
      [undefined, "bytes=2000-"],
    );
  });

  test("resumes in the next run, even if the server sends everything again", async () => {
    answers.set("/models/atlas.zip", (_, response) => {
      response.writeHead(200, { "Content-Length": content.length });
      response.write(content.subarray(0, 2000));
      setTimeout(() => response.destroy(), 300);
    });
    await assert.rejects(pull(), fails(/cut short after 2000 of \d+ bytes/));
    assert.deepEqual(kept(), [`${entry.sha256}.zip.part`]);
    answers.set("/models/atlas.zip", (_, response) => void response.writeHead(200).end(content));
    assert.deepEqual(readFileSync(await pull()), content);
    assert.deepEqual(kept(), [`${entry.sha256}.zip`]);
  });

  test("starts again if the part of an earlier run is damaged", async () => {
    mkdirSync(join(process.env["SCPOLI_CACHE"]!, "models"), { recursive: true });
    const part = join(process.env["SCPOLI_CACHE"]!, "models", `${entry.sha256}.zip.part`);
    for (const damaged of [Buffer.alloc(1000, 1), Buffer.alloc(content.length, 1)]) {
      writeFileSync(part, damaged);
      const path = await pull();
      assert.deepEqual(readFileSync(path), content);
      assert.deepEqual(kept(), [`${entry.sha256}.zip`]);
      rmSync(path);
    }
  });

  test("that the server resumes at another byte is refused, and the part is kept", async () => {
    const models = join(process.env["SCPOLI_CACHE"]!, "models");
    mkdirSync(models, { recursive: true });
    writeFileSync(join(models, `${entry.sha256}.zip.part`), content.subarray(0, 2000));
    answers.set("/models/atlas.zip", (_, response) => {
      response.writeHead(206, { "Content-Range": `bytes 1000-${content.length - 1}/${content.length}` });
      response.end(content.subarray(1000));
    });
    await assert.rejects(pull(), fails(/responded with status 206/));
    assert.equal(readFileSync(join(models, `${entry.sha256}.zip.part`)).length, 2000);
    answers.set("/models/atlas.zip", whole);
    assert.deepEqual(readFileSync(await pull()), content);
  });

  test("is asked of the next address where one has it not", async () => {
    answers.set("/index.json", text(indexOf({ ...entry, urls: ["nowhere.zip", "models/atlas.zip"] })));
    assert.deepEqual(readFileSync(await pull()), content);
  });

  test("is read from the cache offline, without a request", async () => {
    await pull();
    asked.length = 0;
    assert.deepEqual(readFileSync(await pull("atlas", { offline: true })), content);
    process.env["SCPOLI_OFFLINE"] = "1";
    assert.deepEqual(readFileSync(await modelPath("atlas@1.0", settings)), content);
    assert.equal(asked.length, 0);
  });

  test("of a version that is kept needs no network", async () => {
    await pull();
    asked.length = 0;
    assert.deepEqual(readFileSync(await modelPath("atlas@1.0", settings)), content);
    assert.equal(asked.length, 0);
    assert.match(notes.at(-1)!.message, /atlas@1\.0 from .*licence CC0-1\.0/);
  });

  test("that is not in the cache is reported offline", async () => {
    await assert.rejects(
      pull("atlas", { offline: true }),
      fails(/not in the cache and cannot be downloaded offline/),
    );
    await Registry.open(settings);
    await assert.rejects(pull("atlas", { offline: true }), fails(/atlas@1\.0 is not in the cache.*offline/));
  });

  test("whose cached copy is damaged is downloaded again", async () => {
    const path = await pull();
    writeFileSync(path, content.subarray(1));
    await assert.rejects(pull("atlas", { offline: true }), fails(/cached copy of atlas@1\.0, is damaged/));
    assert.deepEqual((await (await Registry.open(settings)).damaged()).damaged, [path]);
    assert.deepEqual(readFileSync(await pull()), content);
    assert.deepEqual(await (await Registry.open(settings)).damaged(), { checked: 1, damaged: [] });
  });

  test("that two runs pull at once is whole", async () => {
    const paths = await Promise.all([pull(), pull()]);
    for (const path of paths) assert.deepEqual(readFileSync(path), content);
  });

  test("uses the proxy of the environment", async () => {
    process.env["HTTP_PROXY"] = url;
    process.env["SCPOLI_MODELS"] = "http://models.example/atlas";
    answers.set("http://models.example/atlas/index.json", text(indexOf(entry)));
    answers.set("http://models.example/atlas/models/atlas.zip", whole);
    assert.deepEqual(readFileSync(await pull()), content);
    assert.equal(asked[0]!.host, "models.example");
  });
});

test("the proxy is chosen as other programs choose it", () => {
  const proxy = (address: string, environment: Record<string, string>): string | undefined =>
    proxyFor(new URL(address), environment)?.host;
  assert.equal(proxy("https://a.org/x", { HTTPS_PROXY: "http://p:3128" }), "p:3128");
  assert.equal(proxy("https://a.org/x", { https_proxy: "p:3128" }), "p:3128");
  assert.equal(proxy("http://a.org/x", { HTTPS_PROXY: "http://p:3128" }), undefined);
  for (const exempt of ["a.org", ".org", "*", "b.org, .a.org"])
    assert.equal(proxy("https://m.a.org/x", { HTTPS_PROXY: "p:1", NO_PROXY: exempt }), undefined, exempt);
  assert.equal(proxy("https://ba.org/x", { HTTPS_PROXY: "p:1", NO_PROXY: "a.org" }), "p:1");
  assert.throws(
    () => proxy("https://a.org/", { HTTPS_PROXY: "socks5://p" }),
    fails(/cannot be used/, "usage"),
  );
});

describe("a hostile or broken registry", () => {
  const untouched = async (says: RegExp, kind: ErrorKind = "file"): Promise<void> => {
    await assert.rejects(pull(), fails(says, kind));
    assert.deepEqual(kept(), []);
  };
  for (const [what, body, says] of [
    ["a web page", "<!doctype html>", /it is a web page/],
    ["no JSON", "hello", /it is not JSON/],
    ["another JSON", '{"a": 1}', /lacks format or models/],
    ["a newer index", '{"format": 9, "models": []}', /format is 9.*update scpoli/],
    ["a list", "[]", /lacks format or models/],
  ] as const)
    test(`with ${what}`, async () => {
      answers.set("/index.json", text(body));
      await untouched(says);
    });

  for (const [what, change, says] of [
    ["a name outside of its folder", { name: "../atlas" }, /\.name '\.\.\/atlas' is not a valid name/],
    ["a version outside of its folder", { version: ".." }, /\.version '\.\.' is not a valid name/],
    ["a checksum that is none", { sha256: "../../x" }, /\.sha256 is not a SHA-256 checksum/],
    ["no size", { bytes: -1 }, /\.bytes is not a number/],
    ["no address", { urls: [] }, /\.urls is empty/],
    ["a file of this machine", { urls: ["file:///etc/passwd"] }, /refers to 'file:.*not an allowed URL/],
    ["another protocol", { urls: ["ftp://x/y"] }, /refers to 'ftp:.*not an allowed URL/],
    ["commands to the terminal", { description: "\u001b]0;x\u0007" }, /\.description has control characters/],
    ["such commands in a key", { condition_keys: ["\u009b2J"] }, /\.condition_keys has control characters/],
  ] as const)
    test(`with ${what}`, async () => {
      answers.set("/index.json", text(indexOf({ ...entry, ...change })));
      await untouched(says);
    });

  test("that names a model twice", async () => {
    answers.set("/index.json", text(indexOf(entry, entry)));
    await untouched(/has atlas@1\.0 twice/);
  });

  test("whose index never ends", async () => {
    answers.set("/index.json", (_, response) => {
      const more = (): void => void (response.destroyed || response.write(Buffer.alloc(1 << 20, 32), more));
      more();
    });
    await untouched(/too large for an index of models/);
  });

  test("whose index is cut short", async () => {
    answers.set("/index.json", (_, response) => {
      response.writeHead(200, { "Content-Length": 5000 }).write("{");
      setTimeout(() => response.destroy(), 100);
    });
    await untouched(/cannot be downloaded: |was cut short/);
  });

  test("served by https that sends downloads to http", async () => {
    const index = "https://models.example/index.json";
    process.env["SCPOLI_MODELS"] = index;
    const indexes = join(process.env["SCPOLI_CACHE"]!, "indexes");
    mkdirSync(indexes, { recursive: true });
    const path = join(indexes, `${digest(Buffer.from(index))}.json`);
    writeFileSync(path, indexOf({ ...entry, urls: ["http://models.example/atlas.zip"] }));
    await assert.rejects(
      pull("atlas", { offline: true }),
      fails(/refers to 'http:\/\/models\.example\/atlas\.zip', which is not an allowed URL/),
    );
  });

  test("with a cache that is a file", async () => {
    writeFileSync(process.env["SCPOLI_CACHE"]!, "");
    await assert.rejects(pull(), fails(/cannot be/, "output"));
  });

  test("whose file is another one", async () => {
    answers.set("/models/atlas.zip", (_, response) => void response.end(Buffer.alloc(content.length)));
    await untouched(/its checksum differs from that of atlas@1\.0/);
  });

  test("whose file is larger than it says, without end", async () => {
    answers.set("/models/atlas.zip", (_, response) => {
      const more = (): void => void (response.destroyed || response.write(Buffer.alloc(1 << 16), more));
      more();
    });
    await untouched(/larger than the \d+ bytes that the index gives/);
  });

  test("that answers with errors", async () => {
    for (const status of [403, 404, 500, 503]) {
      answers.set("/models/atlas.zip", text("no", status));
      await untouched(new RegExp(`the server responded with status ${status}`));
    }
  });

  test("that redirects to files, to itself for ever, or to nothing", async () => {
    for (const [target, says] of [
      ["file:///etc/passwd", /redirected to 'file:.*not followed/],
      ["/models/atlas.zip", /redirected more than 5 times/],
      ["http://[", /redirected to .*not followed/],
    ] as const) {
      answers.set("/models/atlas.zip", text("", 302, { Location: target }));
      await untouched(says);
    }
  });

  test("that redirects to where the file is, is followed", async () => {
    answers.set("/models/atlas.zip", text("", 302, { Location: "/elsewhere" }));
    answers.set("/elsewhere", whole);
    assert.deepEqual(readFileSync(await pull()), content);
  });

  test("whose file is not a model, or a zip bomb", async () => {
    const bomb = Buffer.from(
      zipSync({ "model.json": new Uint8Array(1 << 20), "model.safetensors": new Uint8Array(9) }),
    );
    const central = bomb.length - 22 - (46 + "model.safetensors".length) - (46 + "model.json".length);
    bomb.writeUInt32LE(0xfffffff0, central + 24);
    for (const [bytes, says] of [
      [Buffer.from("hello"), /is a file; a model is a folder/],
      [Buffer.from(zipSync({ "../../evil": new Uint8Array(3) })), /holds no model/],
      [bomb, /size of 'model\.json' is not plausible/],
    ] as const) {
      answers.set("/index.json", text(indexOf({ ...entry, bytes: bytes.length, sha256: digest(bytes) })));
      answers.set("/models/atlas.zip", (_, response) => void response.end(bytes));
      await untouched(says, "model");
    }
  });

  test("that is unreachable: the cache is used, with a warning", async () => {
    const path = await pull();
    answers.set("/index.json", text("no", 500));
    assert.equal(await pull(), path);
    assert.match(notes.find(({ level }) => level === "warning")!.message, /The cached index is used/);
  });

  test("that nobody runs", async () => {
    process.env["SCPOLI_MODELS"] = "http://127.0.0.1:9/";
    await untouched(/cannot be downloaded: the connection was refused/);
    process.env["SCPOLI_MODELS"] = "gopher://models";
    await untouched(/expected an http\(s\) URL or a path/, "usage");
  });
});

describe("an index on this machine", () => {
  const write = (change: object): void => {
    mkdirSync(at("local", "models"), { recursive: true });
    copyFileSync(at("model.zip"), at("local", "models", "atlas.zip"));
    writeFileSync(at("local", "index.json"), indexOf({ ...entry, ...change }));
    process.env["SCPOLI_MODELS"] = at("local");
  };
  test("returns the files next to it", async () => {
    write({});
    assert.deepEqual(readFileSync(await pull("atlas", { offline: true })), content);
  });
  test("gives no other ones", async () => {
    for (const path of ["../model.zip", "/etc/passwd", "models/../../model.zip", "..\\model.zip", "C:\\x"]) {
      write({ urls: [path] });
      await assert.rejects(pull(), fails(/outside its folder|not an allowed URL/));
    }
  });
  test("that is missing is reported", async () => {
    process.env["SCPOLI_MODELS"] = at("nowhere");
    await assert.rejects(pull(), fails(/There is no index of models/));
  });
});

test("names and versions", () => {
  assert.ok(["atlas", "hlca-core", "a.b_c"].every(isName));
  assert.ok(
    ["", "..", ".a", "a..b", "a/b", "a b", "-", "x".repeat(81), "a@b"].every((name) => !isName(name)),
  );
  assert.deepEqual(parseModelName("atlas"), { name: "atlas", version: null });
  assert.deepEqual(parseModelName("atlas@2.0"), { name: "atlas", version: "2.0" });
  assert.equal(parseModelName("a@b@c"), null);
  assert.equal(parseModelName("../x@1"), null);
  const { models: three } = readIndex(
    indexOf(...["1.9", "1.10", "0.3"].map((version) => ({ ...entry, version }))),
    "x",
  );
  assert.equal(newest(three)!.version, "1.10");
});

test("the command line lists, packs, describes and maps", async () => {
  const env = { SCPOLI_CACHE: at("cli cache"), SCPOLI_MODELS: at("packed") };
  mkdirSync(at("packed"));
  const run = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await scpoli(args, { env });
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const pack = (release: string, ...more: string[]): Promise<string> =>
    run(
      ...[
        "models",
        "pack",
        at("model.zip"),
        "-o",
        at("packed", `atlas-${release}.zip`),
        "--release",
        release,
      ],
      ...["--index", at("packed", "index.json"), "--licence", "CC-BY-4.0", ...more],
    );
  assert.match(await pack("1", "--organism", "Homo sapiens"), /Not filled in yet: tissue/);
  await pack("2");
  const again = await scpoli(
    [
      "models",
      "pack",
      at("model.zip"),
      "-o",
      at("packed", "x.zip"),
      "--name",
      "atlas",
      "--release",
      "2",
    ].concat(["--index", at("packed", "index.json")]),
    { env },
  );
  assert.equal(again.code, 4);
  assert.ok(!existsSync(at("packed", "x.zip")), "nothing is written");
  const third = ["models", "pack", at("model.zip"), "-o", at("packed", "below", "atlas-3.zip")];
  mkdirSync(at("packed", "below"));
  const relative = await scpoli([...third, "--index", "./index.json", "--release", "3", "--json"], {
    env,
    cwd: at("packed"),
  });
  assert.deepEqual((JSON.parse(relative.stdout) as IndexEntry).urls, ["below/atlas-3.zip"]);
  const outside = ["models", "pack", at("model.zip"), "-o", at("outside.zip"), "--index"];
  const { code, stderr } = await scpoli([...outside, at("packed", "index.json")], { env });
  assert.equal(code, 2);
  assert.match(stderr, /outside\.zip must be in the folder of .*index\.json/);
  assert.ok(!existsSync(at("outside.zip")), "nothing is written");
  assert.match(await run("models", "list"), /atlas@1 .*Homo sapiens.*CC-BY-4\.0/);
  assert.match(await run("models", "info", "atlas"), /version +3[\s\S]*licence: [\s\S]*cell types, broad/);
  assert.match(await run("models", "info", at("packed", "atlas-1.zip")), /organism: Homo sapiens/);
  const { path } = JSON.parse(await run("models", "pull", "atlas@1", "--json")) as { path: string };
  assert.deepEqual(readFileSync(path), readFileSync(at("packed", "atlas-1.zip")));
  assert.match(await run("models", "verify"), /1 models in the cache, all intact/);
  assert.match(await run("samples", "atlas@1", "-o", at("samples.h5ad")), /samples\.donor\.h5ad/);
  const absent = await scpoli(["expression", "atlas@9", at("none.h5ad"), "-o", at("x.h5ad")], { env });
  assert.match(absent.stderr, /has no model atlas@9/, "expression looks names up in the index");
  const unknown = await scpoli(["models", "pull", "atlsa"], { env });
  assert.equal(unknown.code, 3);
  assert.match(unknown.stderr, /Did you mean 'atlas'/);
});
