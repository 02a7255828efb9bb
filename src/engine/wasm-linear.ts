// Linear layers in a plan: forward pass, gradient, and the panels of x shared by layers with the same x.
import { padded } from "../kernel-modules/memory.js";
import type { Activation, Parameter } from "./engine.js";
import { logitsStride } from "./wasm-layout.js";
import type { RegionPlaces, Regions } from "./wasm-regions.js";

/**
 * Tiles per task of a dense weight gradient: their dout stays in the L1 cache, and x is read once for all of
 * them.
 */
const linearTaskTiles = 4;

export interface ActivationPlace {
  readonly pointer: number;
  /** bytes of a row; for logits, of a group of 4 rows */
  readonly stride: number;
}

/** The part of the engine that the recorder uses. */
export interface Places extends RegionPlaces {
  readonly minibatchSize: number;
  readonly blockRows: number;
  readonly genes: number;
  /** K */
  readonly prototypes: number;
  activation(activation: Activation): ActivationPlace;
  conditions(key: number): number;
  /**
   * (B, G) buffer for dlogits that are needed after their block of rows, shared by all programs; `second`:
   * for the second output layer
   */
  logits(second?: boolean): ActivationPlace;
}

/** Records linear layers. */
export class LinearLayers {
  readonly #panels = new Map<number, { pointer: number; bytes: number }>();
  readonly #places: Places;
  readonly #regions: Regions;

  constructor(places: Places, regions: Regions) {
    this.#places = places;
    this.#regions = regions;
  }

  /** Start of the free scratch memory of operations over rows: after the logits of a block. */
  get work(): number {
    const { blockRows, genes } = this.#places;
    return (blockRows / 4) * logitsStride(genes);
  }

  /** Called before an operation that writes an activation. */
  writes(activation: Activation): void {
    this.#regions.writes(activation);
    this.#panels.delete(activation.id);
  }

  forward(
    x: Activation,
    weight: Parameter,
    bias: Parameter | null,
    add: boolean,
    out: ActivationPlace,
    isGrouped: boolean,
  ): void {
    const place = this.#places.activation(x);
    const { value, layout } = this.#regions.reads(weight);
    const biasPointer = bias ? this.#regions.reads(bias).value : 0;
    const [inputs, tiles] = [padded(layout.columns, 4), padded(layout.rows, 8) / 8];
    this.#regions.needScratch(this.work + 16 * inputs * this.#places.blockRows);
    const sizes = [4 * layout.tile, biasPointer, inputs, tiles, Number(add), Number(isGrouped)];
    this.#regions.row(
      "linearForward",
      [place.pointer, place.stride, value, ...sizes, out.pointer, out.stride, this.work],
      weight,
    );
  }

  /**
   * @param waits - the activation that holds `dout`; null for logits (grouped), which nothing overwrites
   */
  backward(
    dout: ActivationPlace,
    waits: Activation | null,
    x: Activation,
    weight: Parameter,
    bias: Parameter | null,
    add: boolean,
    dx: Activation | null,
  ): void {
    const { blockRows, minibatchSize } = this.#places;
    const { value, layout } = this.#regions.reads(weight);
    const [inputs, tiles] = [padded(layout.columns, 4), padded(layout.rows, 8) / 8];
    const isGrouped = Number(waits === null);
    const weightTarget = this.#regions.target(weight);
    const biasTarget = bias && this.#regions.target(bias);
    if (weightTarget !== null || biasTarget !== null) {
      const panels = weightTarget !== null ? this.#pack(x, inputs) : { pointer: 0, bytes: 0 };
      this.#regions.needScratch(linearTaskTiles * (32 + 32 * minibatchSize + 32 * inputs));
      const record = [
        panels.pointer,
        panels.bytes,
        dout.pointer,
        dout.stride,
        isGrouped,
        4 * layout.tile,
        inputs,
        tiles,
        linearTaskTiles,
      ];
      this.#regions.later(
        this.#regions.task(
          "linearUpdate",
          Math.ceil(tiles / linearTaskTiles),
          [...record, weightTarget ?? 0, biasTarget ?? 0],
          weight,
        ),
        waits,
      );
    }
    if (!dx) return;
    this.writes(dx);
    const to = this.#places.activation(dx);
    this.#regions.needScratch(this.work + 32 * blockRows * tiles);
    const sizes = [4 * layout.tile, inputs, tiles, Number(add)];
    this.#regions.row(
      "linearInput",
      [dout.pointer, dout.stride, isGrouped, value, ...sizes, to.pointer, to.stride, this.work],
      weight,
    );
  }

  /** Panels of x for the weight gradient, shared by the layers that read the same x. */
  #pack(x: Activation, inputs: number): { pointer: number; bytes: number } {
    const { memory, minibatchSize } = this.#places;
    const present = this.#panels.get(x.id);
    if (present) return present;
    const bytes = 64 * minibatchSize;
    const panels = { pointer: memory.allocate((inputs / 4) * bytes), bytes };
    this.#panels.set(x.id, panels);
    const { pointer, stride } = this.#places.activation(x);
    this.#regions.row("pack", [pointer, stride, inputs, panels.pointer, bytes]);
    return panels;
  }
}
