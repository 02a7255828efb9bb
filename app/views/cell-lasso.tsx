// The lasso. Its line is in pixels, and cells are selected with the camera that draws the picture.
import { useSignal } from "@preact/signals";
import { toPixels, type Camera } from "../charts/camera.js";
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
  const corners = (): readonly Point[] => {
    const [from, to] = [line.value[0]!, line.value.at(-1)!];
    return tool === "lasso" ? line.value : [from, [to[0], from[1]], to, [from[0], to[1]]];
  };
  const end = (event: PointerEvent): void => {
    if (line.value.length > 2) {
      const place = (cell: number): Point =>
        toPixels(camera, width, height, positions[2 * cell]!, positions[2 * cell + 1]!);
      select(
        pointsInside(corners(), positions.length / 2, place),
        tool === "lasso" ? "in a lasso" : "in a box",
        modeOf(event),
      );
    }
    line.value = [];
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
          points={corners()
            .map(([x, y]) => `${x},${y}`)
            .join(" ")}
        />
      )}
    </svg>
  );
}
