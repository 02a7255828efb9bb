// What the last training was asked for, to be written as a command.
import { signal } from "@preact/signals";
import type { TrainRequest } from "./protocol.js";

export const lastTraining = signal<{ readonly file: string; readonly request: TrainRequest } | null>(null);
