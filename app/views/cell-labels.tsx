// Names in the picture: at the median cell of each group, and beside prototypes.
import { labelGroups, missingName, noLabelName, unknownName, type Groups } from "../coloring.js";
import { toPixels, type Camera } from "../charts/camera.js";
import type { MappingResult, PrototypePlace } from "../protocol.js";
import { cellsWhere } from "../selecting.js";
import { work } from "../state.js";

interface LabelsProps {
  readonly result: MappingResult;
  readonly camera: Camera;
  readonly size: { readonly width: number; readonly height: number };
}

export function CellLabels({ result, camera, size: { width, height } }: LabelsProps) {
  const { view } = work.value;
  const pixels = (x: number, y: number): readonly [number, number] => toPixels(camera, width, height, x, y);
  const isIn = ([x, y]: readonly [number, number]): boolean => x > 0 && y > 0 && x < width && y < height;
  const prototypes = view.showPrototypes
    ? shownPrototypes(result, view.level)
        .map((prototype) => ({ ...prototype, at: pixels(prototype.x, prototype.y) }))
        .filter(({ at }) => isIn(at))
    : [];
  const groups = view.showLabels ? placedLabels(result, pixels, width).filter(({ at }) => isIn(at)) : [];
  const named = new Set(groups.map(({ name }) => name));
  // a prototype's name is written where no cluster has it
  const names = keepApart([
    ...groups,
    ...(view.showLabels ? prototypes : [])
      .filter(({ name }) => !named.has(name))
      .map(({ name, at: [x, y] }) => ({
        name,
        at: [clamped(x, labelWidth(name) / 2 + 4, width), y + 18] as const,
        isPrototype: true,
      })),
  ]);
  return (
    <svg class="overlay" aria-hidden="true" width={width} height={height}>
      {prototypes.map(({ name, level, at: [x, y] }) => (
        <path key={`${level} ${name}`} class="prototype" d={`M${x},${y - 6}l6,6l-6,6l-6,-6z`} />
      ))}
      {names.map(({ name, at: [x, y], isPrototype }) => (
        <text
          key={name}
          x={x}
          y={y}
          class={isPrototype ? "cluster-label of-reference" : "cluster-label"}
          text-anchor="middle"
        >
          {name}
        </text>
      ))}
    </svg>
  );
}

/** Prototypes of the level that is looked at. */
export function shownPrototypes({ prototypes, levels }: MappingResult, level: number): PrototypePlace[] {
  return prototypes.filter((one) => one.level === null || one.level === levels[level]?.key);
}

export interface Label {
  readonly name: string;
  readonly at: readonly [number, number];
  readonly isPrototype?: boolean;
}

/** Names of the groups on a picture, those of larger groups first, none on another. */
export function placedLabels(
  result: MappingResult,
  pixels: (x: number, y: number) => readonly [number, number],
  width: number,
): Label[] {
  const groups = labelGroups.value;
  if (!groups) return [];
  return keepApart(
    labelPlaces(groups, result.positions).map(({ name, x, y }): Label => {
      const [px, py] = pixels(x, y);
      return { name, at: [clamped(px, labelWidth(name) / 2 + 4, width), py] };
    }),
  );
}

interface Place {
  readonly name: string;
  readonly x: number;
  readonly y: number;
  readonly cells: number;
}

/** Groups that have no place of their own. */
const nameless: readonly string[] = [missingName, noLabelName, unknownName];
const placesOf = new WeakMap<object, Place[]>();

function labelPlaces({ codes, entries }: Groups, positions: Float32Array): Place[] {
  const known = placesOf.get(codes);
  if (known) return known;
  const least = codes.length * 0.002;
  const places = entries.flatMap(({ name, cells }, code): Place[] => {
    if (cells < Math.max(1, least) || nameless.includes(name)) return [];
    const cellsOfGroup = cellsWhere(codes, code);
    const middle = (axis: number): number =>
      Float32Array.from(cellsOfGroup, (cell) => positions[2 * cell + axis]!).sort()[
        cellsOfGroup.length >> 1
      ]!;
    return [{ name, x: middle(0), y: middle(1), cells }];
  });
  places.sort((a, b) => b.cells - a.cells);
  placesOf.set(codes, places);
  return places;
}

const ruler = document.createElement("canvas").getContext("2d");
const labelWidths = new Map<string, number>();

/** In pixels, as .cluster-label is written. */
function labelWidth(name: string): number {
  const known = labelWidths.get(name);
  if (known !== undefined || !ruler) return known ?? 7 * name.length;
  ruler.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
  const { width } = ruler.measureText(name);
  labelWidths.set(name, width);
  return width;
}

/** A middle from which a text of a half width stays inside. */
function clamped(middle: number, half: number, width: number): number {
  return middle < 0 || middle > width ? middle : Math.max(half, Math.min(width - half, middle));
}

/** Leaves out what would lie on a label before it. */
function keepApart<T extends Label>(labels: readonly T[]): T[] {
  const kept: T[] = [];
  for (const label of labels) {
    const isFree = kept.every(
      ({ name, at }) =>
        Math.abs(at[1] - label.at[1]) > 15 ||
        Math.abs(at[0] - label.at[0]) > (labelWidth(label.name) + labelWidth(name)) / 2,
    );
    if (isFree) kept.push(label);
  }
  return kept;
}
