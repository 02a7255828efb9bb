// File paths of a training in rounds, and its plan.
import { joinPath, makeFolder, readText, sha256, writeFile } from "#platform";
import { ScPoliError } from "../contract/errors.js";
import type { RoundsPlan, StoredPlan } from "./plan.js";

/** Paths inside the folder of a run. `exchange` holds what a site exports, `kept` what it keeps. */
export class RunFolder {
  constructor(readonly path: string) {}

  get plan(): string {
    return joinPath(this.path, "exchange", "plan.json");
  }
  get surveys(): string {
    return joinPath(this.path, "exchange", "surveys");
  }
  survey(shard: string): string {
    return joinPath(this.surveys, `${shard}.safetensors`);
  }
  /** The shared weights after a round; 0 is the initial state. */
  state(round: number): string {
    return joinPath(this.path, "exchange", "states", `${padded(round)}.safetensors`);
  }
  result(round: number, shard: string): string {
    return joinPath(this.path, "exchange", "results", padded(round), `${shard}.safetensors`);
  }
  summary(shard: string): string {
    return joinPath(this.path, "exchange", "summaries", `${shard}.safetensors`);
  }
  /** A shard's optimiser state for the next round; never exported. */
  moments(round: number, shard: string): string {
    return joinPath(this.path, "kept", shard, `${padded(round)}.safetensors`);
  }
}

function padded(round: number): string {
  return String(round).padStart(4, "0");
}

/** Writes the plan. The same plan gives the same bytes. */
export async function writePlan(folder: RunFolder, plan: RoundsPlan): Promise<StoredPlan> {
  const text = `{\n${Object.entries(plan)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`)
    .join(",\n")}\n}\n`;
  await makeFolder(joinPath(folder.path, "exchange"));
  await writeFile(folder.plan, text);
  return { plan, digest: await sha256([new TextEncoder().encode(text)]) };
}

/** @throws ScPoliError "file" if there is no run, "model" if its plan is damaged */
export async function readPlan(folder: RunFolder): Promise<StoredPlan> {
  const text = await readText(folder.plan);
  const digest = await sha256([new TextEncoder().encode(text)]);
  let plan: RoundsPlan;
  try {
    plan = JSON.parse(text) as RoundsPlan;
  } catch (error) {
    throw new ScPoliError(
      "model",
      `${folder.plan} is damaged: it is not JSON. Run \`scpoli rounds init\` again.`,
      { path: folder.plan },
      { cause: error },
    );
  }
  if (plan.layout !== 2)
    throw new ScPoliError(
      "model",
      `${folder.plan} has layout ${String(plan.layout)}; this version of scpoli reads 2. Begin a new run ` +
        "in another folder, or go on with the version of scpoli that began this one.",
      { path: folder.plan },
    );
  return { plan, digest };
}
