// The frame of the page: name and promise, steps, undo, theme, messages, drop of files anywhere, and what a
// screen reader is told.
import { effect } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { openFiles } from "./actions.js";
import { Icon } from "./icons.js";
import { droppedFiles } from "./files.js";
import {
  announcement,
  dismiss,
  isUnsaved,
  job,
  messages,
  redo,
  redoLabel,
  step,
  systemTheme,
  theme,
  undo,
  undoLabel,
  work,
  type Step,
} from "./state.js";
import { JobBar } from "./views/job-bar.js";
import { OpenView } from "./views/open.js";
import { TrainView } from "./views/train.js";
import { MapView } from "./views/map.js";
import { ExploreView } from "./views/explore.js";
import { SaveView } from "./views/save.js";

const steps: readonly { readonly id: Step; readonly name: string; readonly needs: () => string | null }[] = [
  { id: "open", name: "Open", needs: () => null },
  {
    id: "train",
    name: "Train",
    needs: () => (work.value.reference ? null : "Open labelled cells to train on first"),
  },
  {
    id: "map",
    name: "Map",
    needs: () =>
      !work.value.query ? "Open query cells first" : !work.value.model ? "Open or train a model first" : null,
  },
  { id: "explore", name: "Explore", needs: () => (work.value.result ? null : "Map cells first") },
  {
    id: "save",
    name: "Save",
    needs: () => (work.value.result || work.value.model ? null : "There is nothing to save yet"),
  },
];

systemTheme.addEventListener("change", ({ matches }) => (theme.value = matches ? "dark" : "light"));
effect(() => void (document.documentElement.dataset["theme"] = theme.value));

addEventListener("beforeunload", (event) => {
  if (isUnsaved.value || job.value) event.preventDefault();
});

export function Page() {
  const isDragging = useFileDrop();
  useUndoKeys();
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <div class="brand">
          <img src="./icon.svg" alt="" width="22" height="22" />
          <h1>scPoli</h1>
        </div>
        <nav aria-label="Steps">
          <ol class="steps">
            {steps.map((one) => (
              <StepButton key={one.id} {...one} />
            ))}
          </ol>
        </nav>
        <div class="tools">
          <Promise />
          <button
            class="quiet icon"
            onClick={undo}
            disabled={undoLabel.value === null || job.value !== null}
            title={undoLabel.value ? `Undo: ${undoLabel.value} (Ctrl+Z)` : "Nothing to undo"}
            aria-label="Undo"
          >
            <Icon name="undo" />
          </button>
          <button
            class="quiet icon"
            onClick={redo}
            disabled={redoLabel.value === null || job.value !== null}
            title={redoLabel.value ? `Do again: ${redoLabel.value}` : "Nothing to do again"}
            aria-label="Redo"
          >
            <Icon name="redo" />
          </button>
          <button
            class="quiet icon"
            onClick={() => (theme.value = theme.value === "dark" ? "light" : "dark")}
            title={`Switch to the ${theme.value === "dark" ? "light" : "dark"} theme`}
            aria-label={`Switch to the ${theme.value === "dark" ? "light" : "dark"} theme`}
          >
            <Icon name={theme.value === "dark" ? "sun" : "moon"} />
          </button>
        </div>
      </header>
      <JobBar />
      <Messages />
      <main id="main" tabIndex={-1} class={`view-${step.value}`}>
        {step.value === "open" && <OpenView />}
        {step.value === "train" && <TrainView />}
        {step.value === "map" && <MapView />}
        {step.value === "explore" && <ExploreView />}
        {step.value === "save" && <SaveView />}
      </main>
      {isDragging && (
        <div class="drop-anywhere" aria-hidden="true">
          <p>Drop cells, a model or a saved session</p>
        </div>
      )}
      <div class="unseen" role="status" aria-live="polite">
        {announcement.value}
      </div>
    </>
  );
}

function StepButton({ id, name, needs }: (typeof steps)[number]) {
  const missing = needs();
  const isCurrent = step.value === id;
  return (
    <li>
      <button
        class="step"
        aria-current={isCurrent ? "step" : undefined}
        disabled={missing !== null}
        title={missing ?? undefined}
        onClick={() => (step.value = id)}
      >
        {name}
      </button>
    </li>
  );
}

/** The promise, and what it rests on. */
function Promise() {
  return (
    <details class="promise">
      <summary>
        <Icon name="lock" />
        <span>Nothing leaves this computer</span>
      </summary>
      <div class="pop">
        <p>
          <strong>Your cells stay where they are.</strong> The files you open are read in place by this page
          and computed on by this computer's processor.
        </p>
        <p>
          The page's security policy forbids it to talk to any other site, and it works with the network
          unplugged once it is loaded.
        </p>
        <dl class="facts compact">
          <dt>Threads</dt>
          <dd>
            {crossOriginIsolated
              ? `up to ${navigator.hardwareConcurrency}`
              : "one (the page is not isolated from other sites, or this browser cannot share memory)"}
          </dd>
        </dl>
      </div>
    </details>
  );
}

function Messages() {
  if (messages.value.length === 0) return null;
  return (
    <section class="messages" aria-label="Messages">
      {messages.value.map(({ id, level, title, text }) => (
        <div key={id} class={`message ${level}`} role={level === "error" ? "alert" : "status"}>
          <Icon name={level === "info" ? "info" : "warning"} />
          <div>
            <strong>{title}</strong>
            {text !== "" && <p>{text}</p>}
          </div>
          <button class="quiet icon" aria-label={`Dismiss: ${title}`} onClick={() => dismiss(id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </section>
  );
}

/** Files may be dropped anywhere: what they are decides, and cells are a query there. */
function useFileDrop(): boolean {
  const [isDragging, setDragging] = useState(false);
  useEffect(() => {
    let depth = 0;
    const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
    const enter = (event: DragEvent): void => {
      if (hasFiles(event) && ++depth === 1) setDragging(true);
    };
    const leave = (event: DragEvent): void => {
      if (hasFiles(event) && --depth <= 0) setDragging(((depth = 0), false));
    };
    const over = (event: DragEvent): void => {
      if (hasFiles(event)) event.preventDefault();
    };
    const drop = async (event: DragEvent): Promise<void> => {
      setDragging(((depth = 0), false));
      if (!hasFiles(event) || event.defaultPrevented) return;
      event.preventDefault();
      await openFiles(await droppedFiles(event.dataTransfer!), "query");
    };
    const listeners = { dragenter: enter, dragleave: leave, dragover: over, drop } as const;
    for (const [name, listener] of Object.entries(listeners))
      addEventListener(name, listener as EventListener);
    return () => {
      for (const [name, listener] of Object.entries(listeners))
        removeEventListener(name, listener as EventListener);
    };
  }, []);
  return isDragging;
}

function useUndoKeys(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const isTyping =
        event.target instanceof HTMLElement &&
        event.target.matches("input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea");
      if (isTyping || job.value || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z")
        return;
      event.preventDefault();
      if (event.shiftKey) redo();
      else undo();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}
