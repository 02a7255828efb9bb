// scpoli app: the page of the package, served to this computer only, with the headers that isolate it from
// other origins.
import assert from "node:assert/strict";
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { contentSecurityPolicy, pageHeaders } from "../dist/cli/app-headers.js";
import { serveFolder } from "../dist/platform/server-node.js";
import { launchBrowser } from "./browser.ts";
import { scpoli, temporaryFolder } from "./command.ts";

const folder = temporaryFolder();
const cli = fileURLToPath(new URL("../dist/cli.js", import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL("../dist/app/index.html", import.meta.url)));
const children: ChildProcessWithoutNullStreams[] = [];
after(() => children.forEach((child) => child.kill("SIGKILL")));

/** Status of an answer to a request with any address and host, which `fetch` would tidy up. */
function statusOf(
  url: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<number | undefined> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) =>
    request({ hostname, port, path, headers }, (answer) => (answer.resume(), resolve(answer.statusCode)))
      .on("error", reject)
      .end(),
  );
}

/** `scpoli app` in a separate process. */
async function startApp(
  ...args: string[]
): Promise<{ readonly url: string; readonly child: ChildProcessWithoutNullStreams }> {
  const child = spawn(process.execPath, [cli, "app", ...args]);
  children.push(child);
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (chunk: Buffer) => resolve(chunk.toString().trim()));
    child.once("exit", (code) => reject(new Error(`ended with code ${code}`)));
  });
  return { url, child };
}

test("the policy allows no foreign origin, no code made of texts, no frames", () => {
  for (const directive of contentSecurityPolicy.split("; ")) {
    const [name, ...sources] = directive.split(" ");
    for (const source of sources)
      assert.match(source, /^('self'|'none'|blob:|data:|'wasm-unsafe-eval'|'unsafe-inline')$/, directive);
    if (name !== "style-src") assert.ok(!sources.includes("'unsafe-inline'"), directive);
    if (name === "connect-src") assert.deepEqual(sources, ["'self'", "blob:"]);
  }
});

describe("a folder, served", async () => {
  mkdirSync(join(folder, "page", "assets"), { recursive: true });
  writeFileSync(join(folder, "page", "index.html"), "<!doctype html><title>page</title>");
  writeFileSync(join(folder, "page", "assets", "a.js"), "1");
  writeFileSync(join(folder, "secret.txt"), "secret");
  const served = await serveFolder(join(folder, "page"), 0, pageHeaders);
  after(() => served.close());

  test("every answer has the headers; files have their types and are asked for again", async () => {
    for (const [path, status, type] of [
      ["", 200, "text/html; charset=utf-8"],
      ["assets/a.js", 200, "text/javascript; charset=utf-8"],
      ["none", 404, "text/plain; charset=utf-8"],
    ] as const) {
      const answer = await fetch(served.url + path);
      assert.equal(answer.status, status);
      assert.equal(answer.headers.get("content-type"), type);
      for (const [name, value] of Object.entries(pageHeaders))
        assert.equal(answer.headers.get(name), value, name);
    }
    const tag = (await fetch(served.url)).headers.get("etag")!;
    assert.equal((await fetch(served.url, { headers: { "If-None-Match": tag } })).status, 304);
  });

  test("nothing outside the folder, no other method, no other host's name", async () => {
    for (const path of [
      "/../secret.txt",
      "/..%2fsecret.txt",
      "/%2e%2e/secret.txt",
      "/assets/../../secret.txt",
      "/%00",
      "//secret.txt",
      "/assets",
    ])
      assert.equal(await statusOf(served.url, path), 404, path);
    assert.equal(await statusOf(served.url, "/", { Host: "evil.example" }), 403);
    assert.equal((await fetch(served.url, { method: "POST" })).status, 405);
  });

  test("a port in use, a folder without a page", async () => {
    const port = Number(new URL(served.url).port);
    await assert.rejects(serveFolder(join(folder, "page"), port, {}), {
      kind: "usage",
      message:
        `port ${port} cannot be used: another program uses it. Choose another with --port (0: any ` +
        "that is free).",
    });
    await assert.rejects(serveFolder(folder, 0, {}), { kind: "file" });
    const { code, stderr } = await scpoli(["app", "--port", "70000"]);
    assert.equal(code, 2);
    assert.match(stderr, /Expected a whole number/);
  });
});

describe("the built page", { skip: isBuilt ? false : "dist/app is not built (npm run build:app)" }, () => {
  test("works without the server, from the service worker; no request left the origin", async () => {
    const { url, child } = await startApp("--port", "0");
    const browser = await launchBrowser();
    try {
      const context = await browser.newContext();
      const page = await context.newPage();
      const [errors, foreign]: [string[], string[]] = [[], []];
      page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
      page.on("pageerror", (error) => errors.push(String(error)));
      context.on(
        "request",
        (asked) =>
          /^https?:/.test(asked.url()) &&
          new URL(asked.url()).origin !== new URL(url).origin &&
          foreign.push(asked.url()),
      );
      const answer = await page.goto(url);
      assert.equal(answer!.headers()["content-security-policy"], pageHeaders["Content-Security-Policy"]);
      assert.equal(await page.evaluate(() => globalThis.crossOriginIsolated), true);
      await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
      await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
      const title = await page.title();
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      assert.equal(await ended, 0);
      await page.reload();
      assert.equal(await page.title(), title);
      assert.equal(await page.evaluate(() => globalThis.crossOriginIsolated), true);
      assert.ok(await page.evaluate(() => document.body.innerText.length > 0), "the page is drawn");
      assert.deepEqual([errors, foreign], [[], []]);
    } finally {
      await browser.close();
    }
  });

  test("on a host that sends no headers, the service worker's make it isolated", async () => {
    const served = await serveFolder(fileURLToPath(new URL("../dist/app", import.meta.url)), 0, {});
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      await page.goto(served.url);
      await page.waitForFunction(() => globalThis.crossOriginIsolated, undefined, { timeout: 60_000 });
    } finally {
      await browser.close();
      await served.close();
    }
  });
});
