// Runs a program: region by region on all threads, with a barrier after each.
//
// A region is a list of operations over one index space: blocks of rows (a block goes through all operations
// of the region, so its activations stay in the cache) or tasks (sums over cells, split by genes or
// parameters). Threads take the next index from a counter, which balances the load; neither the result of an
// index nor the order of any sum depends on the thread.

import {
  BiasUpdate,
  SortTiles,
  SparseForward,
  SparseUpdate,
  biasUpdate,
  sortTiles,
  sparseForward,
  sparseUpdate,
} from "./sparse-linear";
import {
  LinearForward,
  LinearInput,
  LinearUpdate,
  Pack,
  linearForward,
  linearInput,
  linearUpdate,
  pack,
} from "./linear";
import { LookUp, LookUpUpdate, Renormalize, lookUp, lookUpUpdate, renormalize } from "./lookup";
import { ThetaRows, ThetaUpdate, thetaRows, thetaUpdate } from "./theta";
import { NegativeBinomial, negativeBinomial } from "./negative-binomial";
import { CrossEntropy, crossEntropyBackward, crossEntropyForward } from "./cross-entropy";
import { Normalize, normalizeBackward, normalizeForward } from "./normalize";
import { Poisson, poisson } from "./poisson";
import { Prototype, prototypeBackward, prototypeForward } from "./prototype";
import {
  Reparameterize,
  SampleNoise,
  reparameterizeBackward,
  reparameterizeForward,
  sampleNoise,
} from "./reparameterize";
import { SquaredError, squaredError } from "./squared-error";
import { ZeroInflated, zeroInflated } from "./zero-inflated";
import { Run, blockCount, blockStart, run, setScratch } from "./run";

// @ts-ignore: decorator
@unmanaged
export class Plan {
  regions: i32;
  /** the first region; regions are contiguous */
  first: usize;
}

/** 64 bytes, so that the counters of two regions do not share a cache line. */
// @ts-ignore: decorator
@unmanaged
export class Region {
  /** next index */
  next: i32;
  /** 0: the index space is the blocks of rows */
  tasks: i32;
  operations: i32;
  /** pointers to the operations */
  list: usize;
}
const regionBytes = 64;

// @ts-ignore: decorator
@unmanaged
class Operation {
  code: i32;
}

// @ts-ignore: decorator
@unmanaged
class TaskOperation {
  code: i32;
  firstTask: i32;
  tasks: i32;
}

/** The order is that of `codes` in src/engine/wasm-regions.ts. */
enum Code {
  lookUp,
  sparseForward,
  sortTiles,
  linearForward,
  linearInput,
  pack,
  normalizeForward,
  normalizeBackward,
  sampleNoise,
  reparameterizeForward,
  reparameterizeBackward,
  prototypeForward,
  prototypeBackward,
  crossEntropyForward,
  crossEntropyBackward,
  negativeBinomial,
  zeroInflated,
  poisson,
  squaredError,
  renormalize,
  thetaRows,
  lookUpUpdate,
  sparseUpdate,
  biasUpdate,
  linearUpdate,
  thetaUpdate,
}

function executeRows(op: usize, first: i32, last: i32): void {
  switch (changetype<Operation>(op).code) {
    case Code.lookUp:
      lookUp(changetype<LookUp>(op), first, last);
      break;
    case Code.sparseForward:
      sparseForward(changetype<SparseForward>(op), first, last);
      break;
    case Code.sortTiles:
      sortTiles(changetype<SortTiles>(op), first, last);
      break;
    case Code.linearForward:
      linearForward(changetype<LinearForward>(op), first, last);
      break;
    case Code.linearInput:
      linearInput(changetype<LinearInput>(op), first, last);
      break;
    case Code.pack:
      pack(changetype<Pack>(op), first, last);
      break;
    case Code.normalizeForward:
      normalizeForward(changetype<Normalize>(op), first, last);
      break;
    case Code.normalizeBackward:
      normalizeBackward(changetype<Normalize>(op), first, last);
      break;
    case Code.sampleNoise:
      sampleNoise(changetype<SampleNoise>(op), first, last);
      break;
    case Code.reparameterizeForward:
      reparameterizeForward(changetype<Reparameterize>(op), first, last);
      break;
    case Code.reparameterizeBackward:
      reparameterizeBackward(changetype<Reparameterize>(op), first, last);
      break;
    case Code.prototypeForward:
      prototypeForward(changetype<Prototype>(op), first, last);
      break;
    case Code.prototypeBackward:
      prototypeBackward(changetype<Prototype>(op), first, last);
      break;
    case Code.crossEntropyForward:
      crossEntropyForward(changetype<CrossEntropy>(op), first, last);
      break;
    case Code.crossEntropyBackward:
      crossEntropyBackward(changetype<CrossEntropy>(op), first, last);
      break;
    case Code.negativeBinomial:
      negativeBinomial(changetype<NegativeBinomial>(op), first, last);
      break;
    case Code.zeroInflated:
      zeroInflated(changetype<ZeroInflated>(op), first, last);
      break;
    case Code.poisson:
      poisson(changetype<Poisson>(op), first, last);
      break;
    case Code.squaredError:
      squaredError(changetype<SquaredError>(op), first, last);
      break;
    default:
      unreachable();
  }
}

function executeTask(op: usize, task: i32): void {
  switch (changetype<Operation>(op).code) {
    case Code.renormalize:
      renormalize(changetype<Renormalize>(op));
      break;
    case Code.thetaRows:
      thetaRows(changetype<ThetaRows>(op), task);
      break;
    case Code.lookUpUpdate:
      lookUpUpdate(changetype<LookUpUpdate>(op));
      break;
    case Code.sparseUpdate:
      sparseUpdate(changetype<SparseUpdate>(op), task);
      break;
    case Code.biasUpdate:
      biasUpdate(changetype<BiasUpdate>(op));
      break;
    case Code.linearUpdate:
      linearUpdate(changetype<LinearUpdate>(op), task);
      break;
    case Code.thetaUpdate:
      thetaUpdate(changetype<ThetaUpdate>(op), task);
      break;
    default:
      unreachable();
  }
}

/** Runs one operation over its whole index space on this thread, for benchmarks. */
export function runOperation(op: usize, isRows: i32): void {
  setScratch(0);
  if (!isRows) for (let task = 0; task < changetype<TaskOperation>(op).tasks; task++) executeTask(op, task);
  else
    for (let i = 0; i < blockCount(run().rows); i++)
      executeRows(op, blockStart(run().rows, i), min(blockStart(run().rows, i + 1), run().rows));
}

function runRegion(region: Region): void {
  const rows = run().rows;
  const count = region.tasks ? region.tasks : blockCount(rows);
  const list = region.list,
    end = list + ((<usize>region.operations) << 2);
  for (;;) {
    const index = atomic.add<i32>(changetype<usize>(region), 1);
    if (index >= count) return;
    if (!region.tasks) {
      const first = blockStart(rows, index),
        last = min(blockStart(rows, index + 1), rows);
      for (let at = list; at < end; at += 4) executeRows(load<usize>(at), first, last);
    } else {
      let at = list;
      while (
        index >=
        changetype<TaskOperation>(load<usize>(at)).firstTask +
          changetype<TaskOperation>(load<usize>(at)).tasks
      )
        at += 4;
      executeTask(load<usize>(at), index - changetype<TaskOperation>(load<usize>(at)).firstTask);
    }
  }
}

const runAt: usize = 1024;

/**
 * Barrier: waits for all threads, first spinning, then sleeping.
 * @returns false if the program cannot continue
 */
function barrier(): bool {
  const openedAt = runAt + offsetof<Run>("opened"),
    arrivedAt = runAt + offsetof<Run>("arrived");
  const threads = run().threads;
  if (threads == 1) return true;
  const opened = atomic.load<i32>(openedAt);
  if (atomic.add<i32>(arrivedAt, 1) + 1 == threads) {
    atomic.store<i32>(arrivedAt, 0);
    atomic.store<i32>(openedAt, opened + 1);
    atomic.notify(openedAt, threads);
  } else awaitChange(openedAt, opened);
  return run().failed == 0 && run().stopped == 0;
}

/** Waits until the word differs from `value`, the threads are stopped, or one has failed. */
function awaitChange(at: usize, value: i32): void {
  for (let i = run().spins; i > 0; i--) if (atomic.load<i32>(at) != value) return;
  while (atomic.load<i32>(at) == value) {
    if (
      atomic.load<i32>(runAt + offsetof<Run>("failed")) | atomic.load<i32>(runAt + offsetof<Run>("stopped"))
    )
      return;
    // wakes up regularly, as a failing thread may be unable to notify
    atomic.wait<i32>(at, value, 100_000_000);
  }
}

/** This thread's share of the program. */
function share(): void {
  const plan = changetype<Plan>(run().plan);
  const regions = plan.regions,
    first = plan.first;
  for (let i = 0; i < regions; i++) {
    runRegion(changetype<Region>(first + <usize>i * regionBytes));
    if (!barrier()) return;
  }
}

/** Runs the plan with all threads; the caller is thread 0. */
export function execute(): void {
  const plan = changetype<Plan>(run().plan);
  for (let i = 0; i < plan.regions; i++) changetype<Region>(plan.first + <usize>i * regionBytes).next = 0;
  setScratch(0);
  const epochAt = runAt + offsetof<Run>("epoch");
  atomic.add<i32>(epochAt, 1);
  if (run().threads > 1) atomic.notify(epochAt, run().threads);
  share();
}

/** Entry point of another thread: runs its share of every program until it is stopped. */
export function work(thread: i32): void {
  const epochAt = runAt + offsetof<Run>("epoch");
  for (let epoch = 0; ; epoch++) {
    awaitChange(epochAt, epoch);
    if (run().stopped | run().failed) return;
    setScratch(thread);
    share();
  }
}
