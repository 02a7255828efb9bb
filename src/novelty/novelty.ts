// Novelty score: how unlike every known type a cell and its neighbourhood in the query are. It is one minus a
// conformal p-value against cells of the reference whose donors were left out. The paper uses the distance to
// the nearest prototype alone, which fails where an unknown type resembles a known one (`npm run
// bench:unknown`).
import { NearestRows } from "../kernel-modules/nearest.js";
import type { SparseCells } from "../kernel-modules/sparse-cells.js";
import { Random } from "../numerics/random.js";
import { quantile } from "../numerics/descriptive.js";
import { ConformalTable, type LeftOutCell, type NoveltyParts } from "./conformal.js";
import { subspaceCoordinates } from "../numerics/sparse-components.js";
import type { NoveltyJson } from "../model/stored-model.js";
import { listCentres, nearestNeighbors, rowsOf, type Neighbors } from "../graph/neighbors.js";
import { QueryOffsets, sureLabels, sureProbability } from "./query-offsets.js";
import { profiledTypes, ProfileScorer, ProfileSpace, type TypeProfiles } from "./profiles.js";

/**
 * Sizes of neighbourhoods, without the cell itself; a query uses the largest for which it has enough cells.
 */
export const neighborhoods = [0, 1, 3, 7, 15] as const;
/** Number of principal directions for the neighbour search, and of power iterations to compute them. */
const [directions, rounds] = [10, 5];
/** Weight of the cell in its doubt; its neighbourhood has the rest. */
const cellShare = 1 / 3;
/** A cell that is not compared gets the mean score of this many compared cells. */
const comparedNeighbors = 3;
/** A neighbourhood is calibrated with at least this many left-out cells. */
const calibratedCells = 50;

/** Number of neighbours for a query, or a part of one, of n cells: about sqrt(n), at most n - 1. */
export function wantedNeighbors(n: number): number {
  return n < 3 ? 0 : Math.min(neighborhoods.at(-1)!, Math.round(Math.sqrt(n)), n - 1);
}

/**
 * Number of random parts into which a query of n cells is divided before neighbours are sought. Each part has
 * about as many cells as a left-out donor of the calibration. In a denser query neighbours are more alike, so
 * that the mean of an outlying neighbourhood lies further out than calibration expects.
 */
export function queryParts({ donor_cells: cells }: NoveltyJson, n: number): number {
  return cells ? Math.max(1, Math.round(n / cells)) : 1;
}

/**
 * Nearest neighbours of each cell within its part, in the directions in which the query itself varies most:
 * an unknown type may differ from the known ones in directions in which the reference does not vary.
 * @param k - neighbours of each cell @param parts - number of random parts of equal size
 */
export function queryNeighbors(rows: SparseCells, genes: number, k: number, parts = 1): Neighbors {
  const n = rows.indptr.length - 1;
  const P = Math.max(0, Math.min(directions, genes, n - 1));
  if (k === 0 || P === 0) return { k: 0, indices: new Int32Array(0), distances: new Float64Array(0) };
  const places = Float32Array.from(
    subspaceCoordinates(rows, genes, P, rounds, new Random(0, "query directions")),
  );
  if (parts === 1) return nearestNeighbors(places, P, k);
  const partOf = new Random(0, "neighborhoods").shuffle(Array.from({ length: n }, (_, i) => i % parts));
  const indices = new Int32Array(n * k);
  const distances = new Float64Array(n * k);
  for (let part = 0; part < parts; part++) {
    const cells = Int32Array.from(partOf.keys()).filter((i) => partOf[i] === part);
    const neighbors = nearestNeighbors(rowsOf(places, cells, P), P, k);
    cells.forEach((cell, i) => {
      for (let rank = 0; rank < k; rank++) {
        indices[cell * k + rank] = cells[neighbors.indices[i * k + rank]!]!;
        distances[cell * k + rank] = neighbors.distances[i * k + rank]!;
      }
    });
  }
  return { k, indices, distances };
}

/** The parts of the novelty score, per cell. */
export interface NeighborhoodParts {
  readonly span: Float32Array;
  readonly distance: Float32Array;
  /** one minus the probability of the predicted type: of the cell, and the mean over its neighbourhood */
  readonly doubt: Float32Array;
  readonly doubtAround: Float32Array;
}

/**
 * @param cells - row of each cell among those of the scorer @param neighbors - at least k neighbours of each
 * @param offsetOf - the scorer's offset to subtract from a cell, in the neighbourhood of a cell of a type
 */
export function neighborhoodParts(
  scorer: ProfileScorer,
  cells: Int32Array,
  { position, probability }: Pick<HeadPrediction, "position" | "probability">,
  neighbors: Neighbors,
  k: number,
  offsetOf: (cell: number, type: number) => number,
): NeighborhoodParts {
  const n = cells.length;
  const parts = {
    span: new Float32Array(n),
    distance: new Float32Array(n),
    doubt: probability.map((p) => 1 - p),
    doubtAround: new Float32Array(n),
  };
  const [members, offsets] = [new Int32Array(k + 1), new Int32Array(k + 1)];
  for (let i = 0; i < n; i++) {
    let doubt = 0;
    for (let rank = 0; rank <= k; rank++) {
      const j = rank === 0 ? i : neighbors.indices[i * neighbors.k + rank - 1]!;
      members[rank] = cells[j]!;
      offsets[rank] = offsetOf(j, position[i]!);
      doubt += 1 - probability[j]!;
    }
    const { span, distance } = scorer.score(members, offsets);
    parts.span[i] = span;
    parts.distance[i] = distance;
    parts.doubtAround[i] = doubt / (k + 1);
  }
  return parts;
}

/** The parts of one cell. */
export function partsOf({ span, distance, doubt, doubtAround }: NeighborhoodParts, i: number): NoveltyParts {
  return [span[i]!, distance[i]!, cellShare * doubt[i]! + (1 - cellShare) * doubtAround[i]!];
}

/** The calibration of novelty as a model stores it. */
export interface StoredNovelty {
  readonly json: NoveltyJson;
  readonly profiles: TypeProfiles;
  /**
   * (cells, 3 + 3 per neighbourhood): unit, true and predicted type, parts; a doubt of -1 where there is no
   * such neighbourhood
   */
  readonly company: Float32Array;
  readonly alone: Float32Array;
}

/** Left-out cells of one neighbourhood. @param table - as stored */
function leftOutCells(
  table: Float32Array,
  { neighborhoods: sizes }: NoveltyJson,
  size: number,
): LeftOutCell[] {
  const width = 3 + 3 * sizes.length;
  const first = 3 + 3 * sizes.indexOf(size);
  const cells: LeftOutCell[] = [];
  for (let at = 0; at < table.length; at += width) {
    const [unit, truth, predicted] = table.subarray(at, at + 3) as unknown as [number, number, number];
    const parts = table.subarray(at + first, at + first + 3) as unknown as [number, number, number];
    if (parts[2] >= 0) cells.push({ unit, truth, predicted, parts: [parts[0], parts[1], parts[2]] });
  }
  return cells;
}

/** The cells of a query whose novelty is computed. */
export interface NoveltyQuery {
  readonly prediction: HeadPrediction;
  /** (N) code of each cell's condition */
  readonly conditions: Int32Array;
  readonly compared: ComparedCells;
  /** of the compared cells */
  readonly neighbors: Neighbors;
  /** (N, 3) nearest compared cells of each cell; null where all are compared */
  readonly nearest: Int32Array | null;
}

/** Novelty of the cells of a query. */
export class QueryNovelty {
  /** (N) 0..1: one minus the p-value */
  readonly novelty: Float32Array;
  /**
   * whether the query is unlike every condition of the reference, so that "all new" and "all shifted" cannot
   * be told apart
   */
  readonly isUnlike: boolean;
  readonly #scores: Float32Array;
  readonly #tables: readonly [company: ConformalTable, alone: ConformalTable];
  readonly #offsets: QueryOffsets;
  readonly #types: readonly number[];
  /** row of each compared cell */
  readonly #rowOf: ReadonlyMap<number, number>;

  constructor(
    private readonly stored: StoredNovelty,
    private readonly query: NoveltyQuery,
  ) {
    const { json, profiles, company, alone } = stored;
    const { prediction, conditions, compared, neighbors, nearest } = query;
    const genes = profiles.variances.length / 2;
    const K = profiles.means.length / genes;
    const ofCompared = {
      position: compared.cells.map((cell) => prediction.position[cell]!),
      probability: Float32Array.from(compared.cells, (cell) => prediction.probability[cell]!),
    };
    const rows = Int32Array.from(compared.cells.keys());
    this.#rowOf = new Map(Array.from(compared.cells, (cell, row) => [cell, row]));
    this.#types = profiledTypes(profiles);
    const { k, tables } = calibratedTables(json, company, alone, neighbors.k, K);
    this.#tables = tables;
    const space = new ProfileSpace(profiles, this.#types, k);
    const conditionOf = compared.cells.map((cell) => conditions[cell]!);
    const partsWith = (table: readonly Float64Array[], of: QueryOffsets["of"]): NeighborhoodParts =>
      neighborhoodParts(
        new ProfileScorer(compared.rows, space, table),
        rows,
        ofCompared,
        neighbors,
        k,
        (i, type) => of(conditionOf[i]!, type),
      );
    // cells that are novel without any offset do not enter its estimate
    const withoutOffset = partsWith([new Float64Array(genes)], () => 0);
    const isSure = sureLabels(ofCompared.probability).map((sure, i) =>
      sure === 1 && tables[1].score(ofCompared.position[i]!, partsOf(withoutOffset, i)).p > novelLevel
        ? 1
        : 0,
    );
    const offsets = (this.#offsets = new QueryOffsets(
      { rows: compared.rows, conditions: conditionOf, position: ofCompared.position, isSure },
      profiles,
      this.#types,
      genes,
    ));
    const parts = partsWith(offsets.table, (condition, type) => offsets.of(condition, type));
    const whole = nearest ? spreadParts(parts, compared.cells, nearest, prediction) : parts;
    const N = prediction.position.length;
    this.novelty = new Float32Array(N);
    this.#scores = new Float32Array(N);
    for (let cell = 0; cell < N; cell++) {
      const type = prediction.position[cell]!;
      const { score, p } = this.#tableOf(type).score(type, partsOf(whole, cell));
      this.novelty[cell] = 1 - p;
      this.#scores[cell] = score;
    }
    this.isUnlike = this.#isUnlike(space);
  }

  #tableOf(type: number): ConformalTable {
    return this.#tables[this.#offsets.inCompany[type] ? 0 : 1];
  }

  /** Novelty of a group of cells, by their median score. */
  ofGroup(cells: readonly number[]): GroupNovelty {
    const { position } = this.query.prediction;
    const isCompany = cells.filter((cell) => this.#offsets.inCompany[position[cell]!]).length;
    const table = this.#tables[2 * isCompany >= cells.length ? 0 : 1];
    const p = table.groupP(
      quantile(
        cells.map((cell) => this.#scores[cell]!),
        0.5,
      ),
    );
    return {
      novelty: 1 - p,
      isNovel: table.groups >= leastGroups && p <= Math.max(groupLevel, 1 / (1 + table.groups)) + 1e-9,
      groups: table.groups,
    };
  }

  /**
   * Whether the cells of three types or more are nearly all novel, and yet these types differ from each other
   * as those of the reference do: then the whole query is shifted, and new types cannot be recognised. Cells
   * of a new type that are predicted as several known ones differ little between these.
   */
  #isUnlike({ scale }: ProfileSpace): boolean {
    const { position, probability } = this.query.prediction;
    const groups = Array.from(this.#offsets.inCompany, (): number[] => []);
    for (const cell of this.query.compared.cells)
      if (probability[cell]! >= sureProbability) groups[position[cell]!]!.push(cell);
    const all = groups.reduce((sum, { length }) => sum + length, 0);
    const large = groups
      .map((cells, type) => ({ cells, type }))
      .filter(({ cells: { length } }) => length >= leastCells && length >= leastShare * all);
    const novel = large.filter(
      ({ cells }) => 2 * cells.filter((cell) => this.novelty[cell]! >= 1 - novelLevel).length > cells.length,
    );
    const size = (groups: typeof large): number =>
      groups.reduce((sum, { cells: { length } }) => sum + length, 0);
    if (large.length < leastTypes || size(novel) < unlikeShare * size(large)) return false;
    const { means } = this.stored.profiles;
    const queryMeans = large.map(({ cells }) => this.#meanOf(cells));
    const shares: number[] = [];
    large.forEach(({ type: a }, i) =>
      large.slice(0, i).forEach(({ type: b }, j) => {
        let [along, square] = [0, 0];
        scale.forEach((factor, gene) => {
          const known = factor * (means[a * scale.length + gene]! - means[b * scale.length + gene]!);
          along += factor * (queryMeans[i]![gene]! - queryMeans[j]![gene]!) * known;
          square += known * known;
        });
        shares.push(along / square);
      }),
    );
    return quantile(shares, 0.5) >= alikeShare;
  }

  /** (G) mean expression of those of the given cells that are compared; zeros if there are none. */
  #meanOf(cells: readonly number[]): Float64Array {
    const { compared } = this.query;
    const { indptr, indices, values } = compared.rows;
    const rows = this.#rowsOf(cells);
    const mean = new Float64Array(this.#offsets.table[0]!.length);
    for (const row of rows)
      for (let at = indptr[row]!; at < indptr[row + 1]!; at++)
        mean[indices[at]!]! += values[at]! / rows.length;
    return mean;
  }

  #rowsOf(cells: readonly number[]): number[] {
    return cells.flatMap((cell) => this.#rowOf.get(cell) ?? []);
  }

  /**
   * The genes that make a group novel: those whose mean, in units of the standard deviation of such a mean,
   * is furthest above (ten) and below (five) what any mixture of known types explains.
   * @param cells - of the group @returns columns of the model's genes; none without compared cells
   */
  genesOf(cells: readonly number[]): { readonly up: number[]; readonly down: number[] } {
    const { compared, conditions, prediction } = this.query;
    const { profiles } = this.stored;
    const rows = this.#rowsOf(cells);
    if (rows.length === 0) return { up: [], down: [] };
    const mean = this.#meanOf(cells);
    const genes = mean.length;
    const offset = new Float64Array(genes);
    for (const row of rows) {
      const cell = compared.cells[row]!;
      const offsetRow = this.#offsets.of(conditions[cell]!, prediction.position[cell]!);
      this.#offsets.table[offsetRow]!.forEach((value, gene) => (offset[gene]! += value / rows.length));
    }
    const residual = new ProfileSpace(profiles, this.#types, rows.length - 1).residual(mean, offset);
    const order = Array.from(residual.keys()).sort((a, b) => residual[b]! - residual[a]! || a - b);
    return {
      up: order.slice(0, genesUp).filter((gene) => residual[gene]! > 0),
      down: order
        .slice(-genesDown)
        .reverse()
        .filter((gene) => residual[gene]! < 0),
    };
  }
}

/** Novelty of a group of cells of a query. */
export interface GroupNovelty {
  /** 0..1: one minus the p-value of the group's median score among those of the types of left-out donors */
  readonly novelty: number;
  /** whether it exceeds 95 % of them; with fewer than 19, all of them */
  readonly isNovel: boolean;
  /** number of left-out groups: types, counted per donor */
  readonly groups: number;
}

/**
 * Fewest left-out groups for a group to be judged, and the share of known groups that may be called novel.
 */
const [leastGroups, groupLevel] = [9, 0.05];
/** Cells with at most this p-value do not enter the query's offsets. */
const novelLevel = 0.05;
/**
 * What makes a query unlike the reference: fewest cells and least share of a type that counts, fewest such
 * types, least share of their cells that is novel, and least median share of the reference's differences
 * between types.
 */
const [leastCells, leastShare, leastTypes, unlikeShare, alikeShare] = [10, 0.05, 3, 0.8, 0.5];
/** Number of genes reported for a group. */
const [genesUp, genesDown] = [10, 5];

/** The largest calibrated neighbourhood of at most `most` neighbours, and its tables. */
function calibratedTables(
  json: NoveltyJson,
  company: Float32Array,
  alone: Float32Array,
  most: number,
  K: number,
): { readonly k: number; readonly tables: readonly [ConformalTable, ConformalTable] } {
  for (const k of [...json.neighborhoods].reverse()) {
    if (k > most) continue;
    const tables = [company, alone].map((table) => new ConformalTable(leftOutCells(table, json, k), K));
    if (k === 0 || tables.every(({ size }) => size >= calibratedCells))
      return { k, tables: tables as [ConformalTable, ConformalTable] };
  }
  throw new Error("no neighbourhood is calibrated");
}

/** Whether there are enough left-out cells in both situations. */
export function isCalibrated({
  json,
  company,
  alone,
}: Pick<StoredNovelty, "json" | "company" | "alone">): boolean {
  return [company, alone].every((table) => leftOutCells(table, json, 0).length >= calibratedCells);
}

/** Parts of all cells: those of the compared ones, and means of these for the others. */
function spreadParts(
  { span, distance, doubtAround }: NeighborhoodParts,
  cells: Int32Array,
  nearest: Int32Array,
  { probability }: HeadPrediction,
): NeighborhoodParts {
  const N = probability.length;
  const k = nearest.length / N;
  const isCompared = new Int32Array(N).fill(-1);
  cells.forEach((cell, i) => (isCompared[cell] = i));
  const spread = (part: Float32Array): Float32Array =>
    Float32Array.from(isCompared, (itself, cell) => {
      if (itself >= 0) return part[itself]!;
      let sum = 0;
      for (let at = cell * k; at < (cell + 1) * k; at++) sum += part[nearest[at]!]!;
      return sum / k;
    });
  return {
    span: spread(span),
    distance: spread(distance),
    doubt: probability.map((p) => 1 - p),
    doubtAround: spread(doubtAround),
  };
}

/**
 * The compared cells that are nearest to each cell in the latent space.
 * @param latent - (N, D) @param cells - compared ones
 * @returns (N, 3)
 */
export function nearestCompared(latent: Float32Array, cells: Int32Array, N: number): Int32Array {
  const D = latent.length / N;
  return new NearestRows(rowsOf(latent, cells, D), D, listCentres(cells.length)).find(
    latent,
    Math.min(comparedNeighbors, cells.length),
    2,
  ).indices;
}

/** Sample of a query's cells, used where cells are compared with each other. */
export interface ComparedCells {
  /** numbers of the cells, ascending */
  readonly cells: Int32Array;
  /** their counts, transformed as for the head */
  readonly rows: SparseCells;
}

/** Cells at one level by the head. */
export interface HeadPrediction {
  /** (N) row of the model's cell types */
  readonly predicted: Int32Array;
  /** (N) calibrated probability of that type */
  readonly probability: Float32Array;
  /** (N) its position among the types of the level */
  readonly position: Int32Array;
}
