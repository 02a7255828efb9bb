// Places to open files: dropped, chosen by a button, or given as a path on the page's server.
import { signal } from "@preact/signals";
import { droppedFiles, pickFiles } from "../files.js";
import { Icon } from "../icons.js";
import { openAddress, openFiles, type Role } from "../opening.js";
import { job } from "../state.js";

const smallTitles: Readonly<Record<Role, string>> = {
  query: "Open other cells",
  model: "Open another model",
  reference: "Add labelled cells",
};
/** What a button of a place opens, for those who do not see the place. */
const contents: Readonly<Record<Role, string>> = {
  query: "your cells",
  model: "a model",
  reference: "labelled cells",
};

export function DropPlace({
  role,
  what,
  isSmall,
}: {
  readonly role: Role;
  readonly what: string;
  readonly isSmall: boolean;
}) {
  const pick = async (folder: boolean): Promise<void> => openFiles(await pickFiles({ folder }), role);
  const drop = async (event: DragEvent): Promise<void> => {
    event.preventDefault();
    await openFiles(await droppedFiles(event.dataTransfer!), role);
  };
  return (
    <div
      class={isSmall ? "drop small" : "drop"}
      data-role={role}
      onDragOver={(event) => event.preventDefault()}
      onDrop={drop}
    >
      <p>{isSmall ? smallTitles[role] : `Drop ${what}`}</p>
      <p class="row">
        {!isSmall && <span class="hint">or choose</span>}
        <button
          onClick={() => pick(false)}
          disabled={job.value !== null}
          aria-label={`${role === "model" ? "a zip file" : "a file"} of ${contents[role]}`}
        >
          <Icon name="file" />
          {role === "model" ? "a zip file" : "a file"}
        </button>
        <button
          onClick={() => pick(true)}
          disabled={job.value !== null}
          aria-label={`a folder of ${contents[role]}`}
        >
          <Icon name="folder" />a folder
        </button>
      </p>
    </div>
  );
}

const address = signal("");

export function Address() {
  const open = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (address.value.trim() !== "") await openAddress(address.value.trim(), "model");
  };
  return (
    <form class="row address" onSubmit={open}>
      <label for="address">or a path on this server</label>
      <input
        id="address"
        type="text"
        inputMode="url"
        placeholder="models/atlas.zip"
        value={address}
        onInput={(event) => (address.value = event.currentTarget.value)}
      />
      <button disabled={job.value !== null || address.value.trim() === ""}>Open</button>
    </form>
  );
}
