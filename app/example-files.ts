// What the example is made of: files beside the page, and how its cells are mapped.
import type { MapRequest } from "./protocol.js";

export const exampleFiles = { query: "kang_query.h5ad", model: "models/demo-blood-1.zip" } as const;

/** The mapped example, as a saved session without the files above. */
export const sessionName = "example.scpoli";

/** Size of its picture at the start of the page, in pixels. */
export const pictureSize = { width: 460, height: 250 } as const;

/** Enough epochs for samples of the reference's own study. */
export const exampleRequest: MapRequest = { unlabeledPrototypes: "leiden", epochs: 40, simd: "plain" };
