// Camera and size of the picture of the cells: shared by the points, the overlays and saved pictures.
import { signal } from "@preact/signals";
import type { Camera } from "./charts/camera.js";

export const drawn = {
  camera: signal<Camera>({ target: [0, 0], zoom: 0 }),
  size: signal({ width: 600, height: 500 }),
};
