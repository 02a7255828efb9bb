// The data of a report's cell view: JSON whose arrays are base64 of little-endian numbers. Written by
// cell-view.ts, read by viewer/.

import type { Paper } from "../plots/palette.js";

/** In place of a colour: the colour of text, which has the strongest contrast in either theme. */
export const inkColour = "ink";

export interface ViewerColouring {
  readonly id: string;
  readonly title: string;
  readonly kind: "groups" | "number";
  /**
   * of kind "groups": their names and colours (#rrggbb or `inkColour`) on white and on a dark background;
   * `values` are codes (uint16, 65535: none)
   */
  readonly names?: readonly string[];
  readonly colours?: Readonly<Record<Paper, readonly string[]>>;
  /** of kind "number": its range; `values` are uint8, 0..254 over the range, 255: none */
  readonly range?: readonly [number, number];
  /** expression of a gene: zero is drawn grey */
  readonly isExpression?: boolean;
  readonly values: string;
}

export interface ViewerData {
  /** numbers of cells; those of the reference come first */
  readonly reference: number;
  readonly query: number;
  /** (cells, 2) coordinates as uint16, 0..65535 over the ranges */
  readonly places: string;
  readonly ranges: readonly [readonly [number, number], readonly [number, number]];
  readonly colourings: readonly ViewerColouring[];
  readonly prototypes: readonly {
    readonly name: string;
    readonly x: number;
    readonly y: number;
    readonly colours: Readonly<Record<Paper, string>>;
  }[];
  readonly ramp: readonly string[];
  readonly missing: string;
}

export function bytesOfText(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

export function uint16OfText(base64: string): Uint16Array {
  return new Uint16Array(bytesOfText(base64).buffer);
}

/** Bytes as base64, in browsers and in Node. */
export function textOfBytes(bytes: Uint8Array): string {
  let binary = "";
  for (let start = 0; start < bytes.length; start += 0x8000)
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  return btoa(binary);
}
