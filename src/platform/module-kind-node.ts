// Whether the built package or the sources themselves run (tests do that), and what differs for worker threads and
// for files that only the build makes.

const isSource = import.meta.url.endsWith(".ts");

/** File extension of a worker's module. */
export const moduleExtension = isSource ? ".ts" : ".js";

/** Node's arguments for a worker: none for plain JavaScript, the loader of this process for TypeScript. */
export const execArgv: string[] = isSource ? process.execArgv : [];

/** The folder of the build, relative to platform/. */
export const builtFiles = isSource ? "../../dist" : "..";
