// Agreement of clusters with cell types: NMI and ARI of k-means and of Leiden communities at the best of ten
// resolutions, and the F1 score of isolated types. Source: nmi_ari_cluster_labels_kmeans and _leiden of
// scib-metrics 0.5.10, isolated_labels_f1 of scib 1.1.7. Communities come from graph/clustering.ts; scores
// differ from those with igraph and leidenalg as much as the latter differ between seeds.
import { communities } from "../graph/clustering.js";
import { neighborGraph, type Neighbors } from "../graph/neighbors.js";
import { Random } from "../numerics/random.js";
import { scibKMeans } from "../numerics/scib-k-means.js";

const resolutions = [0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2] as const;

/** Agreement of two labellings. */
export interface Agreement {
  /** mutual information over the mean of both entropies */
  readonly nmi: number;
  /** Rand index, adjusted for chance */
  readonly ari: number;
}

/** Numbers of cells of each pair of codes that occurs, and of each code. */
interface Contingency {
  readonly cells: number;
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly pairs: readonly (readonly [number, number, number])[];
}

function contingency(a: Int32Array, b: Int32Array): Contingency {
  const [A, B] = [a, b].map((codes) => codes.reduce((most, code) => Math.max(most, code + 1), 0)) as [
    number,
    number,
  ];
  const counts = new Map<number, number>();
  const [ofA, ofB] = [new Float64Array(A), new Float64Array(B)];
  a.forEach((code, cell) => {
    const key = code * B + b[cell]!;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    ofA[code]!++;
    ofB[b[cell]!]!++;
  });
  const pairs = [...counts]
    .sort(([one], [other]) => one - other)
    .map(([key, count]) => [Math.floor(key / B), key % B, count] as const);
  return { cells: a.length, a: ofA, b: ofB, pairs };
}

/** Source: normalized_mutual_info_score (arithmetic mean) and adjusted_rand_score of scikit-learn. */
export function agreement(truth: Int32Array, clusters: Int32Array): Agreement {
  const { cells, a, b, pairs } = contingency(truth, clusters);
  const entropy = (counts: Float64Array): number =>
    counts.reduce((sum, count) => (count > 0 ? sum - (count / cells) * Math.log(count / cells) : sum), 0);
  const information = pairs.reduce(
    (sum, [i, j, count]) => sum + (count / cells) * Math.log((count * cells) / (a[i]! * b[j]!)),
    0,
  );
  const [ha, hb] = [entropy(a), entropy(b)];
  const twos = (counts: Iterable<number>): number => {
    let sum = 0;
    for (const count of counts) sum += (count * (count - 1)) / 2;
    return sum;
  };
  const [both, inA, inB] = [twos(pairs.map(([, , count]) => count)), twos(a), twos(b)];
  const expected = (inA * inB) / Math.max(1, (cells * (cells - 1)) / 2);
  const most = (inA + inB) / 2;
  return {
    nmi: ha + hb === 0 ? 1 : Math.max(0, information) / ((ha + hb) / 2),
    ari: most === expected ? 1 : (both - expected) / (most - expected),
  };
}

/** Leiden communities of the neighbour graph at one resolution. */
export interface LeidenClusters {
  readonly resolution: number;
  /** (N) */
  readonly clusters: Int32Array;
}

/**
 * @param neighbors - without the cell itself; edge weights count it as a neighbour, as in scanpy and
 * scib-metrics
 * @param onProgress - called after each resolution with the share done
 */
export async function leidenClusters(
  neighbors: Neighbors,
  seed: number,
  onProgress: (share: number) => Promise<void> = async () => {},
): Promise<LeidenClusters[]> {
  const graph = neighborGraph(neighbors, neighbors.k + 1);
  const clusterings: LeidenClusters[] = [];
  for (const resolution of resolutions) {
    clusterings.push({
      resolution,
      clusters: communities(
        graph,
        { resolution, refine: true },
        new Random(seed, `resolution ${resolution}`),
      ),
    });
    await onProgress(clusterings.length / resolutions.length);
  }
  return clusterings;
}

/** The agreement at the resolution with the best NMI. */
export function leidenAgreement(
  clusterings: readonly LeidenClusters[],
  types: Int32Array,
): Agreement & { readonly resolution: number } {
  const scored = clusterings.map(({ resolution, clusters }) => ({
    resolution,
    ...agreement(types, clusters),
  }));
  return scored.reduce((best, other) => (other.nmi > best.nmi ? other : best));
}

/** The agreement of k-means clusters, as many as there are types. */
export function kMeansAgreement(
  points: Float32Array,
  D: number,
  types: Int32Array,
  clusters: number,
  seed: number,
): Agreement {
  return agreement(types, scibKMeans(points, D, clusters, seed));
}

/** Mean over isolated types of the best F1 score of a single cluster at any resolution. */
export function isolatedLabelF1(
  clusterings: readonly LeidenClusters[],
  types: Int32Array,
  isolated: readonly number[],
): number {
  const best = new Float64Array(isolated.length);
  for (const { clusters } of clusterings) {
    const { a, b, pairs } = contingency(types, clusters);
    for (const [type, cluster, count] of pairs) {
      const place = isolated.indexOf(type);
      if (place >= 0) best[place] = Math.max(best[place]!, (2 * count) / (a[type]! + b[cluster]!));
    }
  }
  return best.reduce((sum, f1) => sum + f1, 0) / isolated.length;
}
