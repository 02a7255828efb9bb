// Exports of the kernels for the host.
export { storeConstants } from "./math";
export { execute, runOperation, work } from "./threads";
export { cosTurnsAt, expAt, largestBlockRows, leastBlockRows, logAt, log1pAt } from "./probe";
