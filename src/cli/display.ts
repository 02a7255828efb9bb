// Prints notes, warnings and progress to stderr during a run.
// On a terminal, one progress line is redrawn. In a log or a pipe, lines are printed for the first and last
// epoch of a stage and, in between, at growing intervals.
import type { Note, Progress } from "../contract/options.js";
import { clock, count, duration } from "./text.js";

/** The part of `process.stderr` that is needed. */
export interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const redrawMs = 100;
const shortestWaitMs = 5_000;

export class Display {
  readonly #stream: Stream;
  readonly #quiet: boolean;
  readonly #form: "text" | "json";
  readonly #startMs = Date.now();
  #lastMs = 0;
  #hasBar = false;
  /** stage whose first epoch has been printed */
  #printedStage: Progress["stage"] | null = null;

  /**
   * @param quiet - warnings only
   * @param form - json: `{"note": ...}` and `{"progress": ...}`, one object per line
   */
  constructor(stream: Stream, quiet: boolean, form: "text" | "json" = "text") {
    this.#stream = stream;
    this.#quiet = quiet;
    this.#form = form;
    this.#lastMs = this.#startMs;
  }

  readonly note = ({ level, message }: Note): void => {
    if (this.#form === "json") {
      if (level === "warning" || !this.#quiet) this.#line(JSON.stringify({ note: { level, message } }));
    } else if (level === "warning") this.#line(`scpoli: warning: ${message}`);
    else if (!this.#quiet) this.#line(message);
  };

  readonly progress = (progress: Progress): void => {
    if (this.#quiet) return;
    const now = Date.now();
    if (this.#form === "json") {
      const isEnd = progress.losses !== undefined || progress.done >= progress.total;
      if (!isEnd && now - this.#lastMs < redrawMs) return;
      this.#line(JSON.stringify({ progress }));
    } else if (this.#stream.isTTY) {
      if (this.#hasBar && progress.done < progress.total && now - this.#lastMs < redrawMs) return;
      this.#stream.write(`\r${bar(progress, this.#stream.columns ?? 80)}\x1b[K`);
      this.#hasBar = true;
    } else {
      const isEndOfEpoch = progress.losses !== undefined;
      const isDue =
        isEndOfEpoch && (this.#printedStage !== progress.stage || progress.done >= progress.total);
      if (!isDue && now - this.#lastMs < Math.max(shortestWaitMs, (now - this.#startMs) / 10)) return;
      if (isEndOfEpoch) this.#printedStage = progress.stage;
      this.#line(line(progress));
    }
    this.#lastMs = now;
  };

  /** Clears the progress bar. */
  stop(): void {
    if (this.#hasBar) this.#stream.write("\r\x1b[K");
    this.#hasBar = false;
  }

  #line(text: string): void {
    this.stop();
    this.#stream.write(`${text}\n`);
  }
}

/** A progress event as a log line. */
function line({ stage, done, total, epoch, epochs, losses, cellsPerSecond, secondsLeft }: Progress): string {
  const parts = [
    epoch === undefined ? `${count(done)} of ${count(total)} cells` : `epoch ${epoch} of ${epochs}`,
  ];
  if (losses) {
    const { train, validation } = losses;
    parts.push(`loss ${loss(train.total)}${validation ? ` (validation ${loss(validation.total)})` : ""}`);
  }
  if (isKnown(cellsPerSecond)) parts.push(`${count(cellsPerSecond)} cells/s`);
  if (isKnown(secondsLeft)) parts.push(`${duration(secondsLeft)} left`);
  return `${stage}: ${parts.join(", ")}`;
}

/**
 * A progress event as a terminal line with a bar, most important part first. It fits 80 columns, and the bar
 * keeps its width so that the line does not jump.
 */
function bar(
  { stage, done, total, epoch, epochs, losses, cellsPerSecond, secondsLeft }: Progress,
  columns: number,
): string {
  const width = Math.max(5, Math.min(30, columns - 75));
  const filled = total > 0 ? Math.round(Math.min(1, done / total) * width) : 0;
  const parts = [
    `${stage} ${"█".repeat(filled)}${"░".repeat(width - filled)}`,
    epoch === undefined ? `${count(done)}/${count(total)} cells` : `epoch ${epoch}/${epochs}`,
  ];
  if (losses)
    parts.push(
      `loss ${loss(losses.train.total)}${losses.validation ? ` val ${loss(losses.validation.total)}` : ""}`,
    );
  if (isKnown(secondsLeft)) parts.push(`${clock(secondsLeft)} left`);
  if (isKnown(cellsPerSecond)) parts.push(`${count(cellsPerSecond)} cells/s`);
  return parts.join("  ").slice(0, columns - 1);
}

function loss(value: number): string {
  return Math.abs(value) < 1000 ? value.toPrecision(4) : count(value);
}

function isKnown(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value);
}
