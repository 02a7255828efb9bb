// Nearest rows of a table, stored as inverted lists around centres: for each point, the lists of the nearest
// centres are searched; the result is exact if all lists are. A separate module with its own memory and a
// single thread, see src/kernel-modules/nearest.ts.
//
// Rows are stored in tiles of eight, [rows / 8][D][8]; each list starts a new tile and is padded with rows at
// infinity. Squared distances are sums of squared differences in float32. Lists are searched in order of
// their centres' distances, so that most later rows are too far away to be inserted.

/** At most `probes` lists are searched per point. */
let dimensions: usize = 0,
  lists: i32 = 0,
  probes: i32 = 0,
  nearest: i32 = 0;
/** Tiles of the centres; (lists + 1) first tile of each list; tiles of the table. */
let centres: usize = 0,
  listStart: usize = 0,
  tiles: usize = 0;
/** Distances to the rows of a tile; (probes) the nearest centres and their distances. */
let eight: usize = 0,
  chosen: usize = 0,
  chosenDistance: usize = 0;

// @ts-ignore: decorator
@inline
const far: f32 = Infinity;

/** First free byte. */
export function freeFrom(): usize {
  return __heap_base;
}

/** Pointers to the arrays. */
export function configure(
  D: i32,
  listCount: i32,
  probeCount: i32,
  k: i32,
  centreTiles: usize,
  starts: usize,
  tableTiles: usize,
  scratch: usize,
): void {
  dimensions = <usize>D;
  lists = listCount;
  probes = min(probeCount, listCount);
  nearest = k;
  centres = centreTiles;
  listStart = starts;
  tiles = tableTiles;
  eight = scratch;
  chosen = scratch + 32;
  chosenDistance = chosen + ((<usize>probes) << 2);
}

/** Bytes of scratch memory that `configure` needs. */
export function scratchBytes(probeCount: i32): i32 {
  return 32 + 8 * probeCount;
}

/**
 * Searches the nearest rows of points. If the probed lists have fewer than k rows, all lists are searched.
 * @param points - (rows, D)
 * @param resultPoints - (rows, k) receives positions in the table, nearest first, -1 if the table has fewer
 *   rows; ties keep the row searched first
 * @param squared - (rows, k) receives squared distances, ascending
 */
export function search(points: usize, rows: i32, resultPoints: usize, squared: usize): void {
  const pointBytes = dimensions << 2,
    resultBytes = (<usize>nearest) << 2;
  for (let row = 0; row < rows; row++) {
    forget(resultPoints, squared);
    chooseLists(points);
    for (let probe = 0; probe < probes; probe++) {
      const list = load<i32>(chosen + ((<usize>probe) << 2));
      const range = listStart + ((<usize>list) << 2);
      keepNear(points, tiles, load<i32>(range), load<i32>(range, 4), resultPoints, squared, nearest);
    }
    if (probes < lists && load<i32>(resultPoints + resultBytes - 4) < 0) {
      forget(resultPoints, squared);
      keepNear(
        points,
        tiles,
        0,
        load<i32>(listStart + ((<usize>lists) << 2)),
        resultPoints,
        squared,
        nearest,
      );
    }
    points += pointBytes;
    resultPoints += resultBytes;
    squared += resultBytes;
  }
}

/** Clears the results of a point. */
function forget(resultPoints: usize, squared: usize): void {
  for (let rank: usize = 0; rank < (<usize>nearest) << 2; rank += 4) {
    store<f32>(squared + rank, far);
    store<i32>(resultPoints + rank, -1);
  }
}

/**
 * Writes the squared distances of a point to a tile of eight rows into `eight`.
 * @returns bit mask of the distances below the limit
 */
// @ts-ignore: decorator
@inline
function nearIn(point: usize, tile: usize, limit: v128): i32 {
  let low = f32x4.splat(0),
    high = f32x4.splat(0);
  for (const end = point + (dimensions << 2); point < end; point += 4, tile += 32) {
    const x = v128.load32_splat(point);
    const a = f32x4.sub(v128.load(tile), x),
      b = f32x4.sub(v128.load(tile, 16), x);
    low = f32x4.add(low, f32x4.mul(a, a));
    high = f32x4.add(high, f32x4.mul(b, b));
  }
  const nearLanes = i32x4.bitmask(f32x4.lt(low, limit)) | (i32x4.bitmask(f32x4.lt(high, limit)) << 4);
  if (nearLanes != 0) {
    v128.store(eight, low);
    v128.store(eight, high, 16);
  }
  return nearLanes;
}

/** The lists with the nearest centres, ascending by distance. */
function chooseLists(point: usize): void {
  if (probes == lists) {
    for (let list = 0; list < lists; list++) store<i32>(chosen + ((<usize>list) << 2), list);
    return;
  }
  for (let probe: usize = 0; probe < <usize>probes; probe++) store<f32>(chosenDistance + (probe << 2), far);
  keepNear(point, centres, 0, (lists + 7) >> 3, chosen, chosenDistance, probes);
}

/**
 * Merges the rows of tiles [from, to) into the k nearest rows so far: positions and distances, ascending.
 */
function keepNear(
  point: usize,
  tilesAt: usize,
  from: i32,
  to: i32,
  places: usize,
  ascending: usize,
  k: i32,
): void {
  const last = (<usize>(k - 1)) << 2;
  let limit = v128.load32_splat(ascending + last);
  let tile = tilesAt + ((<usize>from * dimensions) << 5);
  for (let t = from; t < to; t++, tile += dimensions << 5) {
    let lanes = nearIn(point, tile, limit);
    if (lanes == 0) continue;
    for (; lanes != 0; lanes &= lanes - 1) {
      const lane = ctz(lanes);
      insert(load<f32>(eight + ((<usize>lane) << 2)), 8 * t + lane, places, ascending, last);
    }
    limit = v128.load32_splat(ascending + last);
  }
}

/** Inserts in ascending order and drops the last. */
// @ts-ignore: decorator
@inline
function insert(distance: f32, place: i32, places: usize, ascending: usize, last: usize): void {
  if (distance >= load<f32>(ascending + last)) return;
  let at = last;
  for (; at > 0 && load<f32>(ascending + at - 4) > distance; at -= 4) {
    store<f32>(ascending + at, load<f32>(ascending + at - 4));
    store<i32>(places + at, load<i32>(places + at - 4));
  }
  store<f32>(ascending + at, distance);
  store<i32>(places + at, place);
}
