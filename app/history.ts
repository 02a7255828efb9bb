// Browser history: Back goes to the previous step, and leaves the page only from the first.
import { effect } from "@preact/signals";
import { step, work, type Step } from "./state.js";

const steps: readonly Step[] = ["open", "train", "map", "explore", "save"];

function fromAddress(): Step | null {
  const name = location.hash.slice(1);
  return steps.find((one) => one === name) ?? null;
}

/** Whether a step has what it needs. */
export function canShow(one: Step): boolean {
  const { query, reference, model, result } = work.value;
  if (one === "train") return reference !== null;
  if (one === "map") return query !== null && model !== null;
  if (one === "explore") return result !== null;
  return one === "open" || result !== null || model !== null;
}

export function startHistory(): void {
  history.replaceState(null, "", `#${step.value}`);
  effect(() => {
    if (fromAddress() !== step.value) history.pushState(null, "", `#${step.value}`);
  });
  addEventListener("popstate", () => {
    const wanted = fromAddress();
    if (wanted && canShow(wanted)) step.value = wanted;
    else history.replaceState(null, "", `#${step.value}`);
  });
}
