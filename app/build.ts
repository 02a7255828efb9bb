// What Vite does not do by itself for the page: the example beside it, its security policy in it, and
// the list of its files in the service worker.
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { createReadStream, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { contentSecurityPolicy } from "../dist/cli/app-headers.js";
import { indexAddress } from "./site-models.js";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const mappedExample = path("../.cache/example");

/** Files beside the page by name: the example's cells and models, and the mapped example. */
function dataFiles(): ReadonlyMap<string, string> {
  const cells = readdirSync(path("../data")).filter((name) => name.endsWith(".h5ad"));
  const models = readdirSync(path("../data/models")).map((name) => `models/${name}`);
  return new Map([
    ...[...cells, ...models].map((name) => [name, path(`../data/${name}`)] as const),
    ...readdirSync(mappedExample).map((name) => [name, `${mappedExample}/${name}`] as const),
  ]);
}

/** The example, mapped for this build: served while developing, copied when building. */
export const example: Plugin = {
  name: "example",
  buildStart() {
    mkdirSync(mappedExample, { recursive: true });
    execFileSync(process.execPath, ["--import", "tsx", path("build-example.ts"), mappedExample], {
      cwd: path(".."),
      stdio: ["ignore", "inherit", "inherit"],
    });
  },
  configureServer: (server) =>
    void server.middlewares.use("/data", (request, response, next) => {
      const file = dataFiles().get((request.url ?? "").slice(1));
      if (file === undefined) return next();
      createReadStream(file).pipe(response);
    }),
  generateBundle() {
    for (const [name, file] of dataFiles())
      this.emitFile({ type: "asset", fileName: `data/${name}`, source: readFileSync(file) });
  },
};

/** The policy in the page itself, for hosts that send no headers. */
export const policyInPage: Plugin = {
  name: "policy-in-page",
  apply: "build",
  transformIndexHtml: () => [
    {
      tag: "meta",
      attrs: { "http-equiv": "Content-Security-Policy", content: contentSecurityPolicy },
      injectTo: "head-prepend",
    },
  ],
};

/**
 * Names all files of the page in its service worker, and their digest: another page, another service worker.
 */
export const serviceWorker: Plugin = {
  name: "service-worker",
  apply: "build",
  generateBundle: {
    order: "post",
    handler(_, bundle) {
      const digest = createHash("sha256");
      const publicFiles = readdirSync(path("public"), { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name }) => name);
      for (const name of publicFiles) digest.update(readFileSync(path(`public/${name}`)));
      const names = Object.keys(bundle)
        // the index of models may be replaced where the page is served: it is not kept
        .filter((name) => name !== "service-worker.js" && !name.endsWith(".map"))
        .sort();
      for (const name of names) {
        const output = bundle[name]!;
        digest.update(name).update(output.type === "chunk" ? output.code : output.source);
      }
      const worker = bundle["service-worker.js"];
      if (worker?.type !== "chunk") throw new Error("there is no service worker");
      const put = (code: string, placeholder: string, value: string): string => {
        if (code.split(placeholder).length !== 2)
          throw new Error(`${placeholder} is not in the service worker once`);
        return code.replace(placeholder, () => value);
      };
      const values = {
        PAGE_FILES: ["./", ...names.filter((name) => name !== "index.html"), ...publicFiles],
        PAGE_VERSION: digest.digest("hex").slice(0, 16),
        MODEL_INDEX: indexAddress,
      };
      for (const [placeholder, value] of Object.entries(values))
        worker.code = put(worker.code, placeholder, JSON.stringify(value));
    },
  },
};
