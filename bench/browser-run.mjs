// The Node side of bench/browser.ts, in a separate process and folder; prints one JSON object. usage:
// browser-run.mjs FILE THREADS
import { mappingSpeed, trainingSpeed } from "../test/browser-page/measure.js";

const [path, threads] = process.argv.slice(2);
const options = { path, threads: Number(threads), simd: "plain" };
const training = await trainingSpeed(options);
const mapping = await mappingSpeed(options);
console.log(JSON.stringify({ training, mapping, memory: process.resourceUsage().maxRSS * 1024 }));
