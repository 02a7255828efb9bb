// Limits that the page shows before a run; the library applies the same ones (src/data/genes.ts).

/**
 * Share of the model's genes below which a user is warned, and below which a run is refused unless forced.
 */
export const coverageLimits = { warn: 0.8, refuse: 0.5 } as const;
