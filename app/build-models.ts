// The index of models that a build of the page offers: that of the package, whose models lie in data/models
// beside the page. Whoever serves the page replaces models/index.json by an index of their own.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { indexText, readIndex } from "../dist/cli/registry/index-file.js";
import { indexAddress } from "./site-models.js";

/** The index of the package, with addresses that are relative to the page's index. */
function pageIndex(): string {
  const path = fileURLToPath(new URL("../data/models/index.json", import.meta.url));
  const { models } = readIndex(readFileSync(path, "utf8"), path);
  return indexText(
    models.map((entry) => ({ ...entry, urls: entry.urls.map((url) => `../data/models/${url}`) })),
  );
}

/** Serves the index while developing, and writes it when building. */
export const modelIndex: Plugin = {
  name: "model-index",
  configureServer: (server) =>
    void server.middlewares.use(`/${indexAddress}`, (_, response) => void response.end(pageIndex())),
  generateBundle() {
    this.emitFile({ type: "asset", fileName: indexAddress, source: pageIndex() });
  },
};
