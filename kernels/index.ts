// What the host calls.
export { storeConstants } from "./math";
export { execute, runOperation, work } from "./threads";
export { cosTurnsAt, expAt, largestBlockRows, leastBlockRows, logAt, log1pAt } from "./probe";
