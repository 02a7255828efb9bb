// Creates the engine of a run: the only module that knows all engines.
import type { RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import type { Engine, EngineOptions } from "./engine.js";
import { ReferenceEngine } from "./reference.js";
import { createWasmEngine } from "./wasm.js";

export { wasmBuilds } from "./wasm.js";

/**
 * @throws ScPoliError "usage" for an unknown engine, or a build that this runtime does not support; "memory"
 *   if there is too little
 */
export async function createEngine(
  options: EngineOptions,
  { engine = "wasm", threads, simd }: Pick<RunSettings, "engine" | "threads" | "simd">,
): Promise<Engine> {
  if (engine === "reference") return new ReferenceEngine(options);
  if (engine === "wasm") return createWasmEngine(options, { threads, build: simd });
  throw new ScPoliError("usage", `engine is "${engine}"; expected "wasm" or "reference".`);
}
