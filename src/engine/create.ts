// Which engine runs: the only place that knows them all.
import type { RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import type { Engine, EngineOptions } from "./engine.js";
import { ReferenceEngine } from "./reference.js";
import { createWasmEngine } from "./wasm.js";

export { wasmBuilds } from "./wasm.js";

/**
 * @throws ScPoliError "usage" for an engine that is not there, or a build of it that this runtime cannot use;
 * "memory" where there is too little
 */
export async function createEngine(
  options: EngineOptions,
  { engine = "wasm", threads, simd }: Pick<RunSettings, "engine" | "threads" | "simd">,
): Promise<Engine> {
  if (engine === "reference") return new ReferenceEngine(options);
  if (engine === "wasm") return createWasmEngine(options, { threads, build: simd });
  throw new ScPoliError("usage", `engine is "${engine}"; expected "wasm" or "reference".`);
}
