// Models to choose from, where the site of the page offers any.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { guarded, report, working } from "../job-status.js";
import { openModelFiles } from "../opening.js";
import { downloadModel, readSiteModels, type SiteModel } from "../site-models.js";
import { dismissErrors, job } from "../state.js";
import { bytesText, count, counted } from "../text.js";

const siteModels = signal<readonly SiteModel[] | null>(null);

async function loadOnce(): Promise<void> {
  if (siteModels.value) return;
  siteModels.value = [];
  try {
    siteModels.value = await readSiteModels(document.baseURI);
  } catch (error) {
    report("The models of this site cannot be listed", error);
  }
}

async function openModel(model: SiteModel): Promise<void> {
  const { name, version, bytes } = model.entry;
  dismissErrors();
  await guarded(`${name} ${version} could not be opened`, async () => {
    const file = await working(`Downloading ${name} ${version}, ${bytesText(bytes)}`, () =>
      downloadModel(model),
    );
    await openModelFiles([{ path: file.name, file }]);
  });
}

export function SiteModels() {
  useEffect(() => void loadOnce(), []);
  const models = siteModels.value ?? [];
  if (models.length === 0) return null;
  return (
    <details class="more site-models">
      <summary>{counted(models.length, "model")} of this site</summary>
      <ul>
        {models.map((model) => (
          <ModelRow key={`${model.entry.name}@${model.entry.version}`} model={model} />
        ))}
      </ul>
    </details>
  );
}

function ModelRow({ model }: { readonly model: SiteModel }) {
  const { name, version, description, ...entry } = model.entry;
  const facts = [
    [entry.organism, entry.tissue].filter((text) => text !== "").join(", "),
    entry.cells === null ? "" : counted(entry.cells, "cell"),
    counted(entry.genes, "gene"),
    `${count(entry.cell_types)} cell ${entry.cell_types === 1 ? "type" : "types"}`,
    bytesText(entry.bytes),
    entry.licence === "" ? "licence not given" : `licence ${entry.licence}`,
  ].filter((text) => text !== "");
  return (
    <li>
      <div>
        <strong>{name}</strong> {version}
        {description !== "" && <p>{description}</p>}
        <p class="hint">{facts.join(" · ")}</p>
      </div>
      {model.urls.length > 0 ? (
        <button
          onClick={() => openModel(model)}
          disabled={job.value !== null}
          aria-label={`Open the model ${name} ${version}`}
        >
          Open
        </button>
      ) : (
        <span class="hint">on another site, which this page does not contact</span>
      )}
    </li>
  );
}
