// A field to choose a gene in: by a part of its symbol or of its id.
import { signal, useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { runJob } from "../jobs.js";
import type { GeneName } from "../protocol.js";
import { isBusy, tell, work } from "../state.js";

/** Genes of the query, once they were asked for. */
const genes = signal<{ readonly of: object; readonly names: readonly GeneName[] } | null>(null);
const mostFound = 40;

async function load(): Promise<void> {
  const { query } = work.value;
  if (!query || query.files.length === 0 || genes.value?.of === query.files) return;
  try {
    const names = await runJob(({ jobs }) => jobs.readGeneNames(query.files));
    genes.value = { of: query.files, names };
  } catch (error) {
    tell("error", "The names of the genes could not be read", String(error));
  }
}

/** Genes with a text in their symbol or id; those that begin with it first. */
function findGenes(names: readonly GeneName[], text: string): GeneName[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [];
  const places = names.flatMap((gene) => {
    const at = [gene.symbol, gene.name]
      .map((name) => name.toLowerCase().indexOf(wanted))
      .filter((i) => i >= 0);
    return at.length > 0 ? [{ gene, at: Math.min(...at) }] : [];
  });
  return places
    .sort((a, b) => Number(a.at > 0) - Number(b.at > 0) || a.gene.symbol.length - b.gene.symbol.length)
    .slice(0, mostFound)
    .map(({ gene }) => gene);
}

export function GeneField({
  label,
  action,
  onChoose,
}: {
  readonly label: string;
  readonly action: string;
  readonly onChoose: (name: string) => void;
}) {
  const id = useId();
  const text = useSignal("");
  const matches = findGenes(genes.value?.names ?? [], text.value);
  const choose = async (event: Event): Promise<void> => {
    event.preventDefault();
    await load();
    const wanted = text.value.trim().toLowerCase();
    const exact = genes.value?.names.find(
      ({ name, symbol }) => symbol.toLowerCase() === wanted || name.toLowerCase() === wanted,
    );
    const name = exact?.symbol ?? findGenes(genes.value?.names ?? [], wanted)[0]?.symbol ?? text.value.trim();
    if (name !== "") onChoose(name);
  };
  return (
    <form class="stacked" onSubmit={choose}>
      <label for={id}>{label}</label>
      <div class="row tight">
        <input
          id={id}
          type="text"
          list={`${id}-genes`}
          autoComplete="off"
          spellcheck={false}
          placeholder="symbol or id"
          value={text}
          onFocus={load}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
        <button disabled={isBusy.value || text.value.trim() === ""}>{action}</button>
      </div>
      <datalist id={`${id}-genes`}>
        {matches.map(({ name, symbol }) => (
          <option key={name} value={symbol} label={name === symbol ? undefined : name} />
        ))}
      </datalist>
    </form>
  );
}
