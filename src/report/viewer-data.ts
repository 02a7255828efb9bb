// The cells of a report as its script reads them: JSON in which arrays are base64 of little-endian numbers.
// cell-view.ts writes it; viewer/ reads it.

export interface ViewerColouring {
  readonly id: string;
  readonly title: string;
  readonly kind: "groups" | "number";
  /** groups: their names and colours, and codes (uint16, 65535: none) */
  readonly names?: readonly string[];
  readonly colours?: readonly string[];
  /** number: its range, and values (uint8, 0..254 along the range, 255: none) */
  readonly range?: readonly [number, number];
  /** of a gene: zero is grey */
  readonly isExpression?: boolean;
  readonly values: string;
}

export interface ViewerData {
  /** cells of the reference, which come first, and of the query */
  readonly reference: number;
  readonly query: number;
  /** (cells, 2) uint16 along the ranges */
  readonly places: string;
  readonly ranges: readonly [readonly [number, number], readonly [number, number]];
  readonly colourings: readonly ViewerColouring[];
  readonly prototypes: readonly {
    readonly name: string;
    readonly x: number;
    readonly y: number;
    readonly colour: string;
  }[];
  readonly ramp: readonly string[];
  readonly missing: string;
}

export function bytesOfText(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

export function wholesOfText(base64: string): Uint16Array {
  return new Uint16Array(bytesOfText(base64).buffer);
}

/** Bytes as base64, in a browser as in Node. */
export function textOfBytes(bytes: Uint8Array): string {
  let binary = "";
  for (let start = 0; start < bytes.length; start += 0x8000)
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  return btoa(binary);
}
