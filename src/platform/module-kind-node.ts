// Whether the built package or the TypeScript sources run (in tests), and the resulting differences for
// worker threads and build outputs.

const isSource = import.meta.url.endsWith(".ts");

/** File extension of a worker's module. */
export const moduleExtension = isSource ? ".ts" : ".js";

/** Node's arguments for a worker: none for plain JavaScript, the loader of this process for TypeScript. */
export const execArgv: string[] = isSource ? process.execArgv : [];

/** The folder of build outputs, relative to platform/. */
export const builtFiles = isSource ? "../../dist" : "..";
