// Genes: several side by side on the cells, as dots and as violins by group, and the marker genes of groups.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { findGroupMarkers, groupMarkers, clusterGroups, typeGroups, type MarkerGroups } from "../answers.js";
import { fittingCamera, toPixels } from "../charts/camera.js";
import { coloringBy, colourOfValue, drawingOrder, type Coloring, type Groups } from "../coloring.js";
import { Icon } from "../icons.js";
import type { MappingResult } from "../protocol.js";
import { colourBy } from "../reading.js";
import { visible } from "../selecting.js";
import { changeView, expressions, isBusy, theme, work, type ColourBy } from "../state.js";
import { short } from "../text.js";
import { GeneField } from "./gene-field.js";
import { GeneSetField, GeneSetTable } from "./gene-sets.js";
import { addGenes, MarkerTable } from "./marker-list.js";
import { PlotView } from "./plot-view.js";

export function GenesPanel({ result }: { readonly result: MappingResult }) {
  const { view, query } = work.value;
  const groupings = groupChoices(result);
  const chosen = useSignal(0);
  const grouping = groupings[Math.min(chosen.value, groupings.length - 1)];
  if (!query || query.files.length === 0)
    return <p class="empty">Genes need the counts of your cells: choose their file again.</p>;
  const genes = view.genes.filter((name) => expressions.value.has(name));
  const groups = grouping && coloringBy(grouping.by)?.groups;
  return (
    <>
      <section aria-labelledby="genes-title">
        <h3 id="genes-title">Genes side by side</h3>
        <div class="row">
          <GeneField label="Add a gene" action="Add" onChoose={(name) => void addGenes([name])} />
          <GeneList />
        </div>
        {genes.length === 0 ? (
          <p class="hint">
            Add genes, paste a list of them, or find the marker genes of groups below and look at the first.
          </p>
        ) : (
          <div class="gene-maps">
            {genes.map((name) => (
              <GeneMap key={name} name={name} result={result} />
            ))}
          </div>
        )}
      </section>
      {groupings.length > 0 && (
        <section aria-labelledby="by-group-title">
          <header class="row">
            <h3 id="by-group-title">By group</h3>
            <select
              aria-label="Groups"
              value={chosen.value}
              onChange={(event) => (chosen.value = Number(event.currentTarget.value))}
            >
              {groupings.map(({ name }, at) => (
                <option key={name} value={at}>
                  {name}
                </option>
              ))}
            </select>
          </header>
          {genes.length > 0 && groups && <Charts genes={genes} groups={groups} name={grouping.name} />}
          {grouping && <GroupMarkers grouping={grouping.groups()} />}
        </section>
      )}
    </>
  );
}

interface GroupChoice {
  readonly name: string;
  readonly by: ColourBy;
  readonly groups: () => MarkerGroups | null;
}

function groupChoices(result: MappingResult): GroupChoice[] {
  const { annotation } = work.value;
  return [
    ...result.levels.map(({ key }, level): GroupChoice => ({
      name: `${key}: predicted type`,
      by: { kind: "predicted", level },
      groups: () => typeGroups(result, level),
    })),
    ...(result.clusters
      ? [{ name: "cluster", by: { kind: "cluster" } as const, groups: () => clusterGroups(result) }]
      : []),
    ...(annotation
      ? [
          {
            name: `${annotation.title} (yours)`,
            by: { kind: "annotation" } as const,
            groups: () => ({ title: annotation.title, codes: annotation.codes, names: annotation.names }),
          },
        ]
      : []),
    ...result.conditions.map(({ key, codes, names }, k): GroupChoice => ({
      name: key,
      by: { kind: "condition", key: k },
      groups: () => ({ title: key, codes, names }),
    })),
  ];
}

/** A list of genes, pasted. */
function GeneList() {
  const text = useSignal("");
  const add = (event: Event): void => {
    event.preventDefault();
    const names = text.value.split(/[\s,;]+/).filter((name) => name !== "");
    void addGenes(names).then(() => (text.value = ""));
  };
  return (
    <form class="stacked" onSubmit={add}>
      <label for="gene-list">or paste a list</label>
      <div class="row tight">
        <input
          id="gene-list"
          type="text"
          placeholder="CD3D, MS4A1, NKG7"
          value={text}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
        <button disabled={isBusy.value || text.value.trim() === ""}>Add all</button>
      </div>
    </form>
  );
}

const mapSize = 168;

/** One gene on the cells, small; a click colours the large picture by it. */
function GeneMap({ name, result }: { readonly name: string; readonly result: MappingResult }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const shown = coloringBy({ kind: "gene", name });
  const [paper, filter] = [theme.value, visible.value];
  useEffect(() => {
    if (canvas.current && shown) drawMap(canvas.current, shown, result, filter);
  }, [shown?.range?.values, paper, filter, result]);
  const { genes } = work.value.view;
  return (
    <figure class="gene-map">
      <figcaption class="row tight">
        <button class="quiet link plain-link gene" onClick={() => colourBy({ kind: "gene", name })}>
          {name}
        </button>
        <span class="hint">to {short(shown?.range?.high ?? 0)}</span>
        <button
          class="quiet icon"
          aria-label={`Remove ${name}`}
          onClick={() => changeView("look at genes", { genes: genes.filter((one) => one !== name) })}
        >
          <Icon name="close" />
        </button>
      </figcaption>
      <canvas
        ref={canvas}
        width={2 * mapSize}
        height={2 * mapSize}
        role="img"
        aria-label={`Expression of ${name}`}
      />
    </figure>
  );
}

function drawMap(
  canvas: HTMLCanvasElement,
  shown: Coloring,
  { positions, cells }: MappingResult,
  filter: Uint8Array | null,
): void {
  const context = canvas.getContext("2d")!;
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  const camera = fittingCamera([positions], width, height);
  const dot = Math.max(2, Math.min(7, 90 / Math.sqrt(cells)) * 1.6);
  const order = drawingOrder(shown)!;
  let last = "";
  for (const cell of order) {
    if (filter && !filter[cell]) continue;
    const colour = colourOfValue(shown.range!, shown.range!.values[cell]!, theme.value);
    if (colour !== last) context.fillStyle = last = colour;
    const [x, y] = toPixels(camera, width, height, positions[2 * cell]!, positions[2 * cell + 1]!);
    context.fillRect(x - dot / 2, y - dot / 2, dot, dot);
  }
}

function Charts({
  genes,
  groups,
  name,
}: {
  readonly genes: readonly string[];
  readonly groups: Groups;
  readonly name: string;
}) {
  const values = genes.map((gene) => expressions.value.get(gene)!);
  const depends = [groups, visible.value, ...values];
  return (
    <>
      <PlotView
        name={`Dot plot by ${name}`}
        depends={depends}
        plot={(plots) => plots.genesDotPlot(genes, values, groups, name, visible.value)}
      />
      {genes.slice(0, 6).map((gene, i) => (
        <PlotView
          key={gene}
          name={`${gene} by ${name}`}
          depends={depends}
          plot={(plots) => plots.geneViolins(gene, values[i]!, groups, name, visible.value)}
        />
      ))}
    </>
  );
}

/** Marker genes of each group of a grouping. */
function GroupMarkers({ grouping }: { readonly grouping: MarkerGroups | null }) {
  const answer = groupMarkers.value;
  const group = useSignal("");
  if (!grouping) return null;
  const isOf = answer?.title === grouping.title && isEqual(answer.codes, grouping.codes);
  const names = isOf ? [...new Set(answer.rows.map((row) => row.group))] : [];
  const chosen = names.includes(group.value) ? group.value : (names[0] ?? "");
  return (
    <>
      <p class="row">
        <button disabled={isBusy.value} onClick={() => findGroupMarkers(grouping)}>
          {isOf ? "Find marker genes again" : "Find marker genes of each group"}
        </button>
        {isOf && (
          <select
            aria-label="Marker genes of"
            value={chosen}
            onChange={(event) => (group.value = event.currentTarget.value)}
          >
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        )}
      </p>
      <GeneSetField onChange={() => isOf && void findGroupMarkers(grouping)} />
      {isOf && answer.sets && (
        <GeneSetTable
          rows={answer.sets.filter((row) => row.group === chosen)}
          caption={`Gene sets among the marker genes of ${chosen}`}
          file={`gene-sets-${chosen}`}
        />
      )}
      {isOf && (
        <MarkerTable
          rows={answer.rows.filter((row) => row.group === chosen)}
          caption={`Marker genes of ${chosen}`}
          file={`markers-${chosen}`}
        />
      )}
      <p class="hint">
        Wilcoxon rank-sum test of each group against all other cells, corrected for ties. Cells are its units:
        it says what marks these cells, not what differs between patients; for that see Compare.
      </p>
    </>
  );
}

function isEqual(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
