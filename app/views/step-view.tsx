// The view of the present step. All but the first are loaded when they are first shown.
import { signal } from "@preact/signals";
import type { FunctionComponent } from "preact";
import { useEffect } from "preact/hooks";
import { step, tell, type Step } from "../state.js";
import { OpenView } from "./open.js";

const loaders: Readonly<Record<Exclude<Step, "open">, () => Promise<FunctionComponent>>> = {
  train: async () => (await import("./train.js")).TrainView,
  map: async () => (await import("./map.js")).MapView,
  explore: async () => (await import("./explore.js")).ExploreView,
  save: async () => (await import("./save.js")).SaveView,
};
const loaded = signal<Readonly<Partial<Record<Step, FunctionComponent>>>>({ open: OpenView });

async function load(name: Exclude<Step, "open">): Promise<void> {
  try {
    loaded.value = { ...loaded.value, [name]: await loaders[name]() };
  } catch {
    tell("error", "A part of the page could not be loaded", "Is its server still running? Then try again.");
  }
}

export function StepView() {
  const name = step.value;
  const View = loaded.value[name];
  useEffect(() => {
    if (!View && name !== "open") void load(name);
  }, [name]);
  return View ? <View /> : <p class="empty">Loading ...</p>;
}
