/** Version of this package; scripts/version_places.mjs lists every place that names it. */
export const version = "0.2.0";
