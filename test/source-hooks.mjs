// Resolves the modules of the built package to their sources.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [dist, src] = [new URL("../dist/", import.meta.url).href, new URL("../src/", import.meta.url).href];

export function resolve(specifier, context, nextResolve) {
  const isPath = /^(\.{1,2}\/|file:)/.test(specifier);
  const { href } = new URL(isPath ? specifier : "x:", context.parentURL);
  if (!href.startsWith(dist) || !href.endsWith(".js")) return nextResolve(specifier, context);
  const source = `${src}${href.slice(dist.length, -3)}.ts`;
  return nextResolve(existsSync(fileURLToPath(source)) ? source : specifier, context);
}
