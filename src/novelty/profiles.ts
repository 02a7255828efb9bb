// Profiles: the mean expression of each type, the differences between conditions, and how much of a
// neighbourhood's mean expression neither explains. One cell says little about its genes; the mean of sixteen
// shows which genes are expressed as in no known type. The genes that separate a new type from a known one
// need not be those that separate known types from each other.
import { MeanSquares, SparseProducts } from "../kernel-modules/profiles.js";
import { type SparseCells } from "../kernel-modules/sparse-cells.js";
import { rowTimes } from "../numerics/linear-algebra.js";
import { gramSchmidt } from "../numerics/orthonormal.js";

/** Log-normalised expression of the types of a level. */
export interface TypeProfiles {
  /** (K, G) mean of each type, over conditions; of a type without cells, zeros */
  readonly means: Float32Array;
  /** (C, G) excess expression of a condition, common to all types */
  readonly displacements: Float32Array;
  /** (2, G) variance of a type's mean between conditions, and of cells within type and condition */
  readonly variances: Float32Array;
}

/** Added to every gene's variance; otherwise genes that hardly any cell expresses would dominate. */
const leastVariance = 0.1;

/** Types that have a profile. */
export function profiledTypes({ means, variances }: TypeProfiles): number[] {
  const G = variances.length / 2;
  return Array.from({ length: means.length / G }, (_, type) => type).filter((type) =>
    means.subarray(type * G, (type + 1) * G).some((value) => value !== 0),
  );
}

/**
 * A scaled gene space: each gene in units of the standard deviation of the mean of k + 1 cells of a known
 * type in another condition. With the directions in which conditions differ, and those in which types do.
 */
export class ProfileSpace {
  readonly genes: number;
  /** (G) mean of the types */
  readonly centre: Float64Array;
  /** (G) 1 / standard deviation */
  readonly scale: Float64Array;
  /** directions of conditions and of types: P = C + T */
  readonly directions: { readonly conditions: number; readonly types: number; readonly P: number };
  /** (G, P) orthonormal, conditions first; times the scale, directions of unscaled genes */
  readonly basis: Float64Array;
  /** (T, T) coordinates of each type along the directions of types */
  readonly typeCoordinates: Float64Array;

  /** @param k - neighbours of a cell */
  constructor(
    { means, displacements, variances }: TypeProfiles,
    types: readonly number[],
    readonly k: number,
  ) {
    const G = (this.genes = variances.length / 2);
    const [C, T] = [displacements.length / G, types.length];
    const P = C + T;
    this.directions = { conditions: C, types: T, P };
    this.scale = Float64Array.from(
      { length: G },
      (_, gene) => 1 / Math.sqrt(variances[gene]! + variances[G + gene]! / (k + 1) + leastVariance),
    );
    this.centre = Float64Array.from({ length: G }, (_, gene) =>
      types.reduce((sum, type) => sum + means[type * G + gene]! / Math.max(1, T), 0),
    );
    const columns = new Float64Array(G * P);
    for (let gene = 0, at = 0; gene < G; gene++) {
      for (let c = 0; c < C; c++) columns[at++] = displacements[c * G + gene]! * this.scale[gene]!;
      for (const type of types)
        columns[at++] = (means[type * G + gene]! - this.centre[gene]!) * this.scale[gene]!;
    }
    this.basis = gramSchmidt(columns, G, P);
    this.typeCoordinates = new Float64Array(T * T);
    types.forEach((_, t) => {
      const profile = Float64Array.from({ length: G }, (__, gene) => columns[gene * P + C + t]!);
      this.typeCoordinates.set(rowTimes(profile, this.basis, P).subarray(C), t * T);
    });
  }

  /** (G, P) the basis for genes that are not scaled. */
  unscaledBasis(): Float64Array {
    const { P } = this.directions;
    return this.basis.map((value, at) => value * this.scale[Math.floor(at / P)]!);
  }

  /**
   * The part of a mean expression outside both spans: (G), scaled.
   * @param mean - (G) @param offset - (G) subtracted from it
   */
  residual(mean: Float64Array, offset: Float64Array): Float64Array {
    const { P } = this.directions;
    const row = mean.map((value, gene) => (value - offset[gene]! - this.centre[gene]!) * this.scale[gene]!);
    const along = rowTimes(row, this.basis, P);
    return row.map((value, gene) => {
      let inside = 0;
      for (let p = 0; p < P; p++) inside += along[p]! * this.basis[gene * P + p]!;
      return value - inside;
    });
  }
}

/** How unlike the known types a mean expression is, in two ways. */
export interface ProfileScores {
  /**
   * log |outside|^2 - log |all|^2 / 2, without the directions of conditions. A compromise between the share
   * of the part outside the span of the types, which ignores its size, and its size, which is large for
   * anything that differs much
   */
  readonly span: number;
  /** log of the squared distance from the nearest type's mean */
  readonly distance: number;
}

/** Keeps logarithms finite. */
const tiny = 1e-9;

/** Scores of the means of several neighbourhoods. */
export class ProfileScorer {
  readonly #squares: MeanSquares;
  /** (n, P), (offsets, P), (P) */
  readonly #cells: Float64Array;
  readonly #offsets: readonly Float64Array[];
  readonly #centre: Float64Array;

  /** @param offsets - (G) each: offsets that can be subtracted from a mean */
  constructor(
    rows: SparseCells,
    private readonly space: ProfileSpace,
    offsets: readonly Float64Array[],
  ) {
    const { genes, centre, scale, k } = space;
    const { P } = space.directions;
    const basis = space.unscaledBasis();
    this.#squares = new MeanSquares(rows, { shifts: offsets, centre, scale }, k + 1);
    this.#cells = new SparseProducts(rows, genes, P).along(basis);
    this.#offsets = offsets.map((offset) => rowTimes(offset, basis, P));
    this.#centre = rowTimes(centre, basis, P);
  }

  /**
   * @param members - cells, at most k + 1
   * @param offsets - index of the offset to subtract, per neighbourhood
   */
  score(members: Int32Array, offsets: Int32Array): ProfileScores {
    const {
      directions: { conditions: C, types: T, P },
      typeCoordinates,
    } = this.space;
    const along = new Float64Array(P);
    for (let p = 0; p < P; p++) {
      let sum = 0;
      for (let i = 0; i < members.length; i++)
        sum += this.#cells[members[i]! * P + p]! - this.#offsets[offsets[i]!]![p]!;
      along[p] = sum / members.length - this.#centre[p]!;
    }
    const membersWith = new Map<number, number>();
    for (const offset of offsets) membersWith.set(offset, (membersWith.get(offset) ?? 0) + 1);
    let all = this.#squares.square(
      members,
      Int32Array.from(membersWith.keys()),
      Int32Array.from(membersWith.values()),
    );
    for (let c = 0; c < C; c++) all -= along[c]! ** 2;
    let outside = all;
    for (let p = C; p < P; p++) outside -= along[p]! ** 2;
    all = Math.max(0, all);
    outside = Math.max(0, outside);
    let nearest = Infinity;
    for (let type = 0; type < T; type++) {
      let sum = outside;
      for (let t = 0; t < T; t++) sum += (along[C + t]! - typeCoordinates[type * T + t]!) ** 2;
      nearest = Math.min(nearest, sum);
    }
    return {
      span: Math.log(outside + tiny) - Math.log(all + tiny) / 2,
      distance: Math.log(nearest + tiny),
    };
  }
}
