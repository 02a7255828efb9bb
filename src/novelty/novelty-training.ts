// Calibrates novelty on the reference: profiles of its types and conditions, and scores of its cells while
// their donors are left out, in each situation that a query may be in.
import { quantile } from "../numerics/descriptive.js";
import { type SparseCells, rowsAt } from "../kernel-modules/sparse-cells.js";
import {
  type HeadPrediction,
  isCalibrated,
  neighborhoodParts,
  neighborhoods,
  partsOf,
  queryNeighbors,
  type StoredNovelty,
} from "./novelty.js";
import { QueryOffsets, sureLabels } from "./query-offsets.js";
import type { Neighbors } from "../graph/neighbors.js";
import { profiledTypes, ProfileScorer, ProfileSpace, type TypeProfiles } from "./profiles.js";
import { Random } from "../numerics/random.js";

/** Maximum number of single-type queries in the calibration, and minimum number of cells of each. */
const [mostAlone, leastAlone] = [60, 5];

/** Cells of a reference, each labelled by a head that was trained without its donor. */
export interface LeftOutCells {
  /** (n) counts, transformed as for the head */
  readonly rows: SparseCells;
  readonly genes: number;
  /** (n) position of the type in the level */
  readonly labels: Int32Array;
  readonly conditions: Int32Array;
  /** (n) donor, and the part in which it was left out */
  readonly units: Int32Array;
  readonly folds: Int32Array;
  readonly prediction: Pick<HeadPrediction, "position" | "probability">;
  /** profiles without the donors of a part; null: of all donors */
  readonly profilesWithout: (fold: number | null) => TypeProfiles;
}

/** A query of the calibration: all cells of a left-out donor, or those of one of its types. */
interface Situation {
  readonly name: "company" | "alone";
  /** rows */
  readonly cells: Int32Array;
}

/** Left-out cells as a query. */
interface LeftOutQuery extends Situation {
  readonly prediction: LeftOutCells["prediction"];
  readonly neighbors: Neighbors;
  readonly offsets: QueryOffsets;
}

/** A row per cell of the calibration: unit, true and predicted type, parts of each neighbourhood. */
const width = 3 + 3 * neighborhoods.length;
/** Stored in place of the doubt where a query is too small for a neighbourhood. */
const missing = -1;

/**
 * Calibrates one level: each left-out donor is a query, and so is each of its types.
 * @returns null if there are too few left-out cells
 */
export function trainNovelty(cells: LeftOutCells, seed: number): StoredNovelty | null {
  const situations = leftOutSituations(cells, seed);
  const tables = { company: [] as Float32Array[], alone: [] as Float32Array[] };
  for (const fold of [...new Set(cells.folds)].sort((a, b) => a - b)) {
    const foldSituations = situations.filter(({ cells: [first] }) => cells.folds[first!] === fold);
    if (foldSituations.length === 0) continue;
    const profiles = cells.profilesWithout(fold);
    const types = profiledTypes(profiles);
    const queries = foldSituations.map((situation) => leftOutQuery(cells, situation, profiles, types));
    scoreQueries(cells, queries, profiles, types).forEach((rows, i) =>
      tables[queries[i]!.name].push(...rows),
    );
  }
  const stored: StoredNovelty = {
    json: { neighborhoods, units: new Set(cells.units).size, donor_cells: donorCells(situations) },
    profiles: cells.profilesWithout(null),
    company: joined(tables.company),
    alone: joined(tables.alone),
  };
  return isCalibrated(stored) ? stored : null;
}

function joined(rows: readonly Float32Array[]): Float32Array {
  const table = new Float32Array(rows.length * width);
  rows.forEach((row, i) => table.set(row, i * width));
  return table;
}

/** Each donor, and each of its types; a random sample if there are more than 60 types. */
function leftOutSituations({ units, labels }: LeftOutCells, seed: number): Situation[] {
  const [company, alone]: [Situation[], Situation[]] = [[], []];
  for (const unit of [...new Set(units)].sort((a, b) => a - b)) {
    const cells = Int32Array.from(units.keys()).filter((i) => units[i] === unit);
    company.push({ name: "company", cells });
    for (const type of [...new Set(cells.map((i) => labels[i]!))].sort((a, b) => a - b)) {
      const ofType = cells.filter((i) => labels[i] === type);
      if (ofType.length >= leastAlone) alone.push({ name: "alone", cells: ofType });
    }
  }
  const some = new Random(seed, "alone").sample(alone.length, mostAlone);
  return [...company, ...Array.from(some, (i) => alone[i]!)];
}

/** Median number of cells of a left-out donor. */
function donorCells(situations: readonly Situation[]): number {
  const company = situations.filter(({ name }) => name === "company");
  return Math.round(
    quantile(
      company.map(({ cells }) => cells.length),
      0.5,
    ),
  );
}

function leftOutQuery(
  { rows, genes, conditions, prediction: { position, probability } }: LeftOutCells,
  situation: Situation,
  profiles: TypeProfiles,
  types: readonly number[],
): LeftOutQuery {
  const { cells } = situation;
  const prediction = {
    position: cells.map((i) => position[i]!),
    probability: Float32Array.from(cells, (i) => probability[i]!),
  };
  const queryRows = rowsAt(rows, cells);
  // a neighbourhood is at most half of a query
  const most = Math.min(neighborhoods.at(-1)!, Math.floor((cells.length - 1) / 2));
  return {
    ...situation,
    prediction,
    neighbors: queryNeighbors(queryRows, genes, most),
    offsets: new QueryOffsets(
      {
        rows: queryRows,
        conditions: cells.map((i) => conditions[i]!),
        position: prediction.position,
        isSure: sureLabels(prediction.probability),
      },
      profiles,
      types,
      genes,
    ),
  };
}

/** Per query the rows of its cells. */
function scoreQueries(
  { rows, units, labels, conditions }: LeftOutCells,
  queries: readonly LeftOutQuery[],
  profiles: TypeProfiles,
  types: readonly number[],
): Float32Array[][] {
  const used = Int32Array.from(new Set(queries.flatMap(({ cells }) => [...cells]))).sort();
  const placeOf = new Map(Array.from(used, (row, place) => [row, place]));
  const ofUsed = rowsAt(rows, used);
  const offsets = queries.flatMap(({ offsets: { table } }) => table);
  let first = 0;
  const firsts = queries.map(({ offsets: { table } }) => (first += table.length) - table.length);
  const tables = queries.map(({ cells, prediction: { position } }) =>
    Array.from(cells, (row, i) =>
      new Float32Array(width)
        .fill(missing)
        .fill(0, 0, 3)
        .map((value, column) =>
          column === 0 ? units[row]! : column === 1 ? labels[row]! : column === 2 ? position[i]! : value,
        ),
    ),
  );
  neighborhoods.forEach((k, size) => {
    const scorer = new ProfileScorer(ofUsed, new ProfileSpace(profiles, types, k), offsets);
    queries.forEach(({ cells, prediction, neighbors, offsets: queryOffsets }, q) => {
      if (neighbors.k < k) return;
      const places = cells.map((row) => placeOf.get(row)!);
      const parts = neighborhoodParts(
        scorer,
        places,
        prediction,
        neighbors,
        k,
        (i, type) => firsts[q]! + queryOffsets.of(conditions[cells[i]!]!, type),
      );
      tables[q]!.forEach((row, i) => row.set(partsOf(parts, i), 3 + 3 * size));
    });
  });
  // 'in company': the query has other types than the cell's
  return tables.map((table, q) => {
    const {
      name,
      offsets: { inCompany },
    } = queries[q]!;
    return name === "alone" ? table : table.filter((row) => inCompany[row[2]!]);
  });
}
