// The interactive view of the cells: the data that viewer/viewer.ts draws, and the HTML of its controls.
import {
  colourOn,
  missingColour,
  rampColour,
  sampleColour,
  typeColour,
  typeNumber,
  type Paper,
} from "../plots/palette.js";
import { escapeText } from "../plots/svg.js";
import { typesOfLevels, type LevelCells, type QueryCells, type ReferenceCells } from "./cells.js";
import type { GeneValues } from "./gene-values.js";
import { inkColour, textOfBytes, type ViewerColouring, type ViewerData } from "./viewer-data.js";

/** A quantity to colour cells by. Values of the reference come first, then those of the query. */
interface Colouring {
  readonly id: string;
  readonly title: string;
  readonly groups?: { readonly names: readonly string[]; readonly codes: Int32Array };
  readonly numbers?: { readonly values: ArrayLike<number>; readonly range: readonly [number, number] };
}

/** Maximum number of query cells in the view; they are spread evenly over the file. */
const mostShownCells = 200_000;

/** @returns rows of the query cells in the view */
function shownCells(query: QueryCells): Int32Array {
  const count = Math.min(query.cells, mostShownCells);
  return Int32Array.from({ length: count }, (_, i) => Math.floor((i * query.cells) / count));
}

/** @returns null if no cell has UMAP coordinates */
export function cellViewData(
  reference: ReferenceCells | null,
  query: QueryCells | null,
  genes: readonly GeneValues[],
): ViewerData | null {
  const shown = query?.umap ? shownCells(query) : new Int32Array(0);
  const L = reference?.cells ?? 0;
  const cells = L + shown.length;
  if (cells === 0) return null;
  const coordinate = (cell: number, axis: number): number =>
    cell < L ? reference!.umap[2 * cell + axis]! : query!.umap![2 * shown[cell - L]! + axis]!;
  const ranges = [0, 1].map((axis): [number, number] => {
    let [low, high] = [Infinity, -Infinity];
    for (let cell = 0; cell < cells; cell++)
      [low, high] = [Math.min(low, coordinate(cell, axis)), Math.max(high, coordinate(cell, axis))];
    return [low, high];
  }) as [[number, number], [number, number]];
  const places = new Uint16Array(2 * cells);
  for (let at = 0; at < places.length; at++) {
    const [low, high] = ranges[at & 1]!;
    places[at] = Math.round((65535 * (coordinate(at >> 1, at & 1) - low)) / (high - low || 1));
  }
  const types = typesOfLevels(reference, query);
  const ramp = Array.from({ length: 64 }, (_, i) => rampColour(i / 63));
  return {
    reference: L,
    query: shown.length,
    places: textOfBytes(new Uint8Array(places.buffer)),
    ranges,
    ramp,
    missing: missingColour,
    colourings: colouringsOf({ reference, query, shown }, genes).map((one) => encode(one, types)),
    prototypes: (reference?.prototypes ?? [])
      .filter(({ level }) => level === 0)
      .map(({ name, type, x, y }) => ({ name, x, y, colours: onPapers((paper) => typeColour(paper, type)) })),
  };
}

const onPapers = <T>(colour: (paper: Paper) => T): Readonly<Record<Paper, T>> => ({
  light: colour("light"),
  dark: colour("dark"),
});

/** @param types - see `typesOfLevels` */
function encode(
  { id, title, groups, numbers }: Colouring,
  types: readonly (readonly string[])[],
): ViewerColouring {
  if (groups) {
    const values = Uint16Array.from(groups.codes, (code) => (code < 0 ? 65535 : code));
    return {
      id,
      title,
      kind: "groups",
      names: groups.names,
      colours: onPapers((paper) => groupColours(id, groups.names, types, paper)),
      values: textOfBytes(new Uint8Array(values.buffer)),
    };
  }
  const {
    values,
    range: [low, high],
  } = numbers!;
  const bytes = Uint8Array.from({ length: values.length }, (_, i) =>
    Number.isFinite(values[i]!)
      ? Math.round((254 * Math.min(Math.max(values[i]! - low, 0), high - low)) / (high - low || 1))
      : 255,
  );
  return {
    id,
    title,
    kind: "number",
    range: [low, high],
    values: textOfBytes(bytes),
    ...(id.startsWith("gene-") && { isExpression: true }),
  };
}

/**
 * Colours of groups, as on the web page: types by their number, other labels after all types, samples in
 * colours that cell types do not use, unknown cells in the ink of the theme.
 */
function groupColours(
  colouring: string,
  names: readonly string[],
  types: readonly (readonly string[])[],
  paper: Paper,
): string[] {
  if (colouring.startsWith("condition-"))
    return names.map((_, group) => colourOn(paper, sampleColour(group)));
  if (!/^(predicted|label)-/.test(colouring)) return names.map((_, group) => typeColour(paper, group));
  let next = types.reduce((sum, { length }) => sum + length, 0);
  return names.map((name) => {
    if (colouring.startsWith("predicted-") && name === unknownName) return inkColour;
    const number = typeNumber(types, name);
    return typeColour(paper, number >= 0 ? number : next++);
  });
}

/** The cells of the view: those of the reference first, then those of the query that are shown. */
interface ShownCells {
  readonly reference: ReferenceCells | null;
  readonly query: QueryCells | null;
  /** rows of the query */
  readonly shown: Int32Array;
}

function colouringsOf(cells: ShownCells, genes: readonly GeneValues[]): Colouring[] {
  const { reference, query, shown } = cells;
  const keys = union(
    (query?.levels ?? []).map(({ key }) => key),
    (reference?.labels ?? []).map(({ key }) => key),
  );
  const conditions = union(
    (reference?.conditions ?? []).map(({ key }) => key),
    (query?.conditions ?? []).map(({ key }) => key),
  );
  const L = reference?.cells ?? 0;
  return [
    ...keys.flatMap((key, level) => levelColourings(cells, key, level)),
    ...conditions.map((key, k) => conditionColouring(cells, key, k)),
    ...(reference && query
      ? [
          {
            id: "side",
            title: "reference or query",
            groups: {
              names: ["reference", "query"],
              codes: Int32Array.from({ length: L + shown.length }, (_, cell) => (cell < L ? 0 : 1)),
            },
          },
        ]
      : []),
    ...genes.flatMap((gene, i) => geneColouring(cells, gene, i) ?? []),
  ];
}

/** Codes of all cells; -1 where a source has none. */
function joinedCodes(
  { reference, shown }: ShownCells,
  ofReference: Int32Array | undefined,
  ofQuery: Int32Array | undefined,
): Int32Array {
  const L = reference?.cells ?? 0;
  return Int32Array.from({ length: L + shown.length }, (_, cell) =>
    cell < L ? (ofReference?.[cell] ?? -1) : (ofQuery?.[shown[cell - L]!] ?? -1),
  );
}

/** Numbers of all cells; NaN where a source has none. */
function joinedNumbers(
  { reference, shown }: ShownCells,
  ofReference: ArrayLike<number> | undefined,
  ofQuery: ArrayLike<number> | undefined,
): Float32Array {
  const L = reference?.cells ?? 0;
  return Float32Array.from({ length: L + shown.length }, (_, cell) =>
    cell < L ? (ofReference?.[cell] ?? NaN) : (ofQuery?.[shown[cell - L]!] ?? NaN),
  );
}

/** Codes into one list of names as codes into another. */
function recoded(
  codes: Int32Array | undefined,
  from: readonly string[] | undefined,
  names: readonly string[],
): Int32Array | undefined {
  return codes?.map((code) => (code < 0 ? -1 : names.indexOf(from![code]!)));
}

/** Name of the cells that are flagged unknown, as on the web page. */
const unknownName = "unknown";

/** Prediction, label, uncertainty and flags at one annotation level. */
function levelColourings(cells: ShownCells, key: string, level: number): Colouring[] {
  const labels = cells.reference?.labels.find((one) => one.key === key);
  const queryLevel = cells.query?.levels.find((one) => one.key === key);
  const given = queryLevel?.given;
  const names = union(labels?.names ?? [], given?.names ?? queryLevel?.types ?? []);
  const isFlagging = queryLevel?.unknown.some((flag) => flag > 0) ?? false;
  const ofReference = recoded(labels?.codes, labels?.names, names);
  const isDistance = queryLevel?.uncertaintyBy === "distance" || !queryLevel;
  return [
    ...(queryLevel
      ? [
          {
            id: `predicted-${level}`,
            title: `${key}, predicted (reference: its label)`,
            groups: {
              // flagged cells are a group of their own, as on the web page
              names: isFlagging ? [...names, unknownName] : names,
              codes: joinedCodes(cells, ofReference, predictedOrUnknown(queryLevel, names)),
            },
          },
        ]
      : []),
    ...(given || !queryLevel
      ? [
          {
            id: `label-${level}`,
            title: `${key}, label`,
            groups: {
              names,
              codes: joinedCodes(cells, ofReference, recoded(given?.codes, given?.names, names)),
            },
          },
        ]
      : []),
    {
      id: `uncertainty-${level}`,
      title: `${key}, uncertainty (0 sure, 1 unsure)`,
      numbers: {
        values: joinedNumbers(cells, isDistance ? labels?.uncertainty : undefined, queryLevel?.uncertainty),
        range: [0, 1] as const,
      },
    },
    ...(isFlagging
      ? [
          {
            id: `unknown-${level}`,
            title: `${key}, flagged unknown`,
            groups: {
              names: ["kept", unknownName],
              codes: joinedCodes(cells, undefined, Int32Array.from(queryLevel!.unknown)),
            },
          },
        ]
      : []),
  ];
}

/** Codes of the predicted types; the number behind the last name for flagged cells. */
function predictedOrUnknown({ predicted, types, unknown }: LevelCells, names: readonly string[]): Int32Array {
  return recoded(predicted, types, names)!.map((code, cell) => (unknown[cell] === 1 ? names.length : code));
}

function conditionColouring(cells: ShownCells, key: string, k: number): Colouring {
  const ofReference = cells.reference?.conditions.find((condition) => condition.key === key);
  const ofQuery = cells.query?.conditions.find((condition) => condition.key === key);
  const names = union(ofQuery?.names ?? [], ofReference?.names ?? []);
  return {
    id: `condition-${k}`,
    title: key,
    groups: {
      names,
      codes: joinedCodes(
        cells,
        recoded(ofReference?.codes, ofReference?.names, names),
        recoded(ofQuery?.codes, ofQuery?.names, names),
      ),
    },
  };
}

/** @returns null where no file has the gene */
function geneColouring(cells: ShownCells, gene: GeneValues, i: number): Colouring | null {
  if (!gene.reference && !gene.query) return null;
  const values = joinedNumbers(cells, gene.reference ?? undefined, gene.query ?? undefined);
  const highest = values.reduce((most, value) => (value > most ? value : most), 0);
  return {
    id: `gene-${i}`,
    title: `${gene.gene} (log1p of counts per 10,000)`,
    numbers: { values, range: [0, highest || 1] },
  };
}

function union(first: readonly string[], second: readonly string[]): string[] {
  return [...new Set([...first, ...second])];
}

/** The view as HTML: canvas, controls and legend, then its data as JSON in a script element. */
export function cellViewHtml(data: ViewerData, query: QueryCells | null): string {
  const colourOptions = data.colourings
    .map(({ id, title }) => `<option value="${escapeText(id)}">${escapeText(title)}</option>`)
    .join("");
  const both = data.reference > 0 && data.query > 0;
  const notDrawn = query && data.query > 0 ? query.cells - data.query : 0;
  const content = [
    data.query > 0 ? `${data.query.toLocaleString("en-US")} cells of the query` : "",
    data.reference > 0 ? `${data.reference.toLocaleString("en-US")} cells of the reference` : "",
  ]
    .filter((part) => part !== "")
    .join(" over ");
  return [
    `<p>${content} in the reference's UMAP`,
    notDrawn > 0 ? ` (${notDrawn.toLocaleString("en-US")} more query cells are not drawn)` : "",
    ". Large dots: prototypes.</p>\n",
    '<p class="unscripted note">This view needs JavaScript; the tables and figures below do not.</p>\n',
    controlsHtml(colourOptions, both, data.prototypes.length > 0),
    '\n<div class="explorer"><div class="stage"><p class="plot-heading" id="view-title">Cells</p>',
    '<canvas id="cells" tabindex="0" role="img" aria-label="Cells in the UMAP of the reference, ',
    `${escapeText(content)}. Arrow keys move, plus and minus zoom, 0 shows all. `,
    'The legend lists the number of cells in each group."></canvas>\n',
    '<p class="axis">x: UMAP 1, y: UMAP 2 (no units). Drag or arrow keys move, wheel or + and \u2212 zoom, ',
    '0 shows all; point at a cell to see its values.</p><p id="told" role="status"></p></div>\n',
    '<div class="legend" tabindex="0" role="region" aria-label="legend of the cells">',
    '<table id="legend"><caption>legend</caption></table><ul class="marks" id="marks"></ul></div></div>\n',
    `<script type="application/json" id="cell-data">${jsonForHtml(data)}</script>`,
  ].join("");
}

function controlsHtml(colourOptions: string, hasBoth: boolean, hasPrototypes: boolean): string {
  return [
    `<div class="controls"><label>Colour by <select id="colouring">${colourOptions}</select></label>`,
    hasBoth
      ? '<label>Reference <select id="reference-as"><option value="grey">grey</option>' +
        '<option value="coloured">coloured</option><option value="hidden">hidden</option></select></label>'
      : "",
    "\n",
    hasPrototypes ? '<label><input type="checkbox" id="prototypes-shown" checked> prototypes</label>' : "",
    '<span><button type="button" id="zoom-in" aria-label="zoom in">+</button> ',
    '<button type="button" id="zoom-out" aria-label="zoom out">\u2212</button> ',
    '<button type="button" id="zoom-all">Reset view</button></span></div>',
  ].join("");
}

/** JSON that contains no markup and no line separator. */
function jsonForHtml(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll("<", "\\u003c")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}
