// Which part of the cells' plane is drawn, and in which size: for the view, for what is drawn over it, and
// for saved pictures of it.
import { signal } from "@preact/signals";
import type { Camera } from "./charts/camera.js";

export const drawn = {
  camera: signal<Camera>({ target: [0, 0], zoom: 0 }),
  size: signal({ width: 600, height: 500 }),
};
