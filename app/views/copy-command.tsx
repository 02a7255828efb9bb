// A button that copies a command which does the same on the command line.
import { useSignal } from "@preact/signals";
import { equivalentCommands, type Command } from "../commands.js";
import { announcement, tell } from "../state.js";

export function CopyButton({ command: { what, command } }: { readonly command: Command }) {
  const copied = useSignal("");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(command);
      copied.value = command;
      announcement.value = "Copied.";
    } catch {
      // over http, or if the user refuses
      tell("warning", "The browser did not let the page copy", "The page Save shows the command.");
    }
  };
  return (
    <button type="button" class="quiet small" onClick={copy} aria-label={`Copy the command: ${what}`}>
      {copied.value === command ? "Copied" : "Copy"}
    </button>
  );
}

/** Beside an answer: copies the command that gives the same numbers. */
export function CopyCommand({ id }: { readonly id: Command["id"] }) {
  const command = equivalentCommands().find((one) => one.id === id);
  if (!command) return null;
  return (
    <p class="copy-command hint">
      The same on the command line: <CopyButton command={command} />
      {command.needs && ` Needs ${command.needs}.`}
    </p>
  );
}
