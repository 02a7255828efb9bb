// The frame of the page: title, steps, undo, theme, messages, dropped files, and announcements to screen
// readers.
import { useEffect, useRef, useState } from "preact/hooks";
import { isKept, kept, startAfresh } from "./autosave.js";
import { canShow } from "./history.js";
import { chooseAgain, openFiles } from "./opening.js";
import { Icon } from "./icons.js";
import { droppedFiles, pickFiles } from "./files.js";
import {
  announcement,
  dismiss,
  isUnsaved,
  job,
  messages,
  redo,
  redoLabel,
  step,
  undo,
  undoLabel,
  work,
  type Step,
} from "./state.js";
import { chooseTheme, theme } from "./theme.js";
import { JobBar } from "./views/job-bar.js";
import { StepView } from "./views/step-view.js";

const steps: readonly { readonly id: Step; readonly name: string; readonly needs: string }[] = [
  { id: "open", name: "Open", needs: "" },
  { id: "train", name: "Train", needs: "Open labelled cells to train on first" },
  { id: "map", name: "Map", needs: "Open your cells and a reference model first" },
  { id: "explore", name: "Explore", needs: "Map cells first" },
  { id: "save", name: "Save", needs: "There is nothing to save yet" },
];

addEventListener("beforeunload", (event) => {
  // what is kept in the browser is back when the page is opened again
  if (job.value || (isUnsaved.value && !isKept.value)) event.preventDefault();
});

export function Page() {
  const isDragging = useFileDrop();
  useUndoKeys();
  const main = useRef<HTMLElement>(null);
  const shown = useRef(step.value);
  useEffect(() => {
    // the button that led here is gone: what follows is at the top of the step
    if (shown.current !== step.value && document.activeElement === document.body) main.current?.focus();
    shown.current = step.value;
  }, [step.value]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
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
          <HistoryButton name="Undo" label={undoLabel.value} keys="Ctrl+Z" onClick={undo} />
          <HistoryButton name="Redo" label={redoLabel.value} keys="Ctrl+Shift+Z" onClick={redo} />
          <ThemeButton />
        </div>
      </header>
      <JobBar />
      <Messages />
      <ChooseAgain />
      <main id="main" ref={main} tabIndex={-1} class={`view-${step.value}`}>
        <StepView />
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

function HistoryButton({
  name,
  label,
  keys,
  onClick,
}: {
  readonly name: "Undo" | "Redo";
  /** what would be undone or redone; null where there is nothing */
  readonly label: string | null;
  readonly keys: string;
  readonly onClick: () => void;
}) {
  const lower = name === "Undo" ? "undo" : "redo";
  return (
    <button
      class="quiet icon"
      onClick={onClick}
      disabled={label === null || job.value !== null}
      title={label ? `${name}: ${label} (${keys})` : `Nothing to ${lower}`}
      aria-label={name}
    >
      <Icon name={lower} />
    </button>
  );
}

function ThemeButton() {
  const other = theme.value === "dark" ? "light" : "dark";
  return (
    <button
      class="quiet icon"
      onClick={() => chooseTheme(other)}
      title={`Switch to the ${other} theme`}
      aria-label={`Switch to the ${other} theme`}
    >
      <Icon name={other === "light" ? "sun" : "moon"} />
    </button>
  );
}

function StepButton({ id, name, needs }: (typeof steps)[number]) {
  const missing = canShow(id) ? null : needs;
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

/** A session that came without the counts: its file can be chosen again. */
function ChooseAgain() {
  const { query } = work.value;
  if (!query || query.files.length > 0) return null;
  const choose = async (folder: boolean): Promise<void> => chooseAgain(await pickFiles({ folder }));
  return (
    <section class="choose-again" aria-label="The file of your cells">
      <Icon name="info" />
      <p>
        <strong>Choose {query.info.name} again.</strong> The results are here; genes, markers, mapping and
        saving into the file need its counts.
      </p>
      <button onClick={() => choose(false)} disabled={job.value !== null}>
        Choose the file
      </button>
      <button class="quiet" onClick={() => choose(true)} disabled={job.value !== null}>
        It is a folder
      </button>
    </section>
  );
}

/** The promise of privacy, and why it holds. */
function Promise() {
  const details = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: KeyboardEvent | PointerEvent): void => {
      const element = details.current;
      if (!element?.open) return;
      if (event instanceof KeyboardEvent) {
        if (event.key !== "Escape") return;
        element.open = false;
        element.querySelector("summary")!.focus();
      } else if (!element.contains(event.target as Node)) element.open = false;
    };
    addEventListener("keydown", close);
    addEventListener("pointerdown", close);
    return () => {
      removeEventListener("keydown", close);
      removeEventListener("pointerdown", close);
    };
  }, []);
  return (
    <details class="promise" ref={details}>
      <summary>
        <Icon name="lock" />
        <span class="whole">Nothing leaves this computer</span>
        <span class="brief">Private</span>
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
        <p>
          {kept.value
            ? `Your work is kept in this browser (${kept.value.toLocaleTimeString()}), so that a reload ` +
              "loses nothing."
            : "Work is kept in this browser, so that a reload loses nothing."}{" "}
          <button class="quiet link" disabled={job.value !== null} onClick={startAfresh}>
            Delete this work and start over
          </button>
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
