// The lasso. Its line is in pixels, and cells are selected with the camera that draws the picture.
import { useSignal } from "@preact/signals";
import type { Camera } from "../charts/camera.js";
import { pointsInside } from "../charts/polygon.js";
import { modeOf, select } from "../selecting.js";

type Point = readonly [x: number, y: number];

interface LassoProps {
  /** (N, 2) positions of the cells */
  readonly positions: Float32Array;
  readonly tool: "lasso" | "box";
  readonly camera: Camera;
  readonly size: { readonly width: number; readonly height: number };
  readonly onWheel?: (event: WheelEvent) => void;
}

export function LassoOverlay({ positions, tool, camera, size: { width, height }, onWheel }: LassoProps) {
  const line = useSignal<readonly Point[]>([]);
  const at = (event: PointerEvent): Point => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const corners = (points: readonly Point[]): readonly Point[] => {
    const [from, to] = [points[0]!, points.at(-1)!];
    return tool === "lasso" ? points : [from, [to[0], from[1]], to, [from[0], to[1]]];
  };
  const end = (event: PointerEvent): void => {
    const points = line.value.length > 0 ? [...line.value, at(event)] : [];
    line.value = [];
    if (!isDragged(points)) return;
    select(
      pointsInside(corners(points), positions, camera, width, height),
      tool === "lasso" ? "in a lasso" : "in a box",
      modeOf(event),
    );
  };
  return (
    <svg
      class="overlay draws"
      width={width}
      height={height}
      aria-hidden="true"
      // while a line is drawn the picture stays as it is
      onWheel={(event) => line.value.length === 0 && onWheel?.(event)}
      onPointerDown={(event) => {
        event.preventDefault();
        event.currentTarget.setPointerCapture(event.pointerId);
        line.value = [at(event)];
      }}
      onPointerMove={(event) => line.value.length > 0 && (line.value = [...line.value, at(event)])}
      onPointerUp={end}
      onPointerCancel={() => (line.value = [])}
    >
      {line.value.length > 1 && (
        <polygon
          points={corners(line.value)
            .map(([x, y]) => `${x},${y}`)
            .join(" ")}
        />
      )}
    </svg>
  );
}

/** Whether the pointer was moved: a click draws nothing. */
function isDragged(points: readonly Point[]): boolean {
  return points.some(([x, y]) => Math.abs(x - points[0]![0]) + Math.abs(y - points[0]![1]) > 3);
}
