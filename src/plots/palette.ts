// Colours of groups and of numbers, shared by the report, the plots and the web page. They can be told apart
// with red-green colour blindness; scripts/make_palette.ts chose them.

/**
 * The colours of Okabe and Ito, then others in order of decreasing distance from all before them. All are
 * visible on white and on near-black.
 */
const groups = [
  "#0072b2",
  "#e69f00",
  "#009e73",
  "#cc79a7",
  "#56b4e9",
  "#d55e00",
  "#1010c0",
  "#904030",
  "#a070f0",
  "#8010f0",
  "#703080",
  "#a0c080",
  "#b04080",
  "#3050b0",
  "#f010d0",
  "#906050",
  "#e08020",
  "#60b070",
  "#c04010",
  "#60e050",
  "#804090",
  "#a08050",
  "#d030a0",
  "#7080c0",
  "#a010d0",
  "#a050f0",
  "#e090d0",
  "#106050",
  "#107070",
  "#80c0a0",
  "#60a0f0",
  "#20c050",
  "#10d050",
  "#f05050",
  "#9010a0",
  "#109070",
  "#f050d0",
  "#605010",
  "#a04060",
  "#2010e0",
  "#507090",
  "#607030",
  "#b07090",
  "#d050e0",
  "#70a060",
  "#f0b020",
  "#808030",
  "#8060c0",
  "#9010c0",
  "#504090",
  "#c020e0",
  "#e0a0d0",
  "#b06060",
  "#9060a0",
  "#804060",
  "#9040a0",
  "#d070e0",
  "#e05080",
  "#704080",
  "#e09010",
];

/** Colour of a group by its number, from 0. Beyond the list, its colours are mixed with white or black. */
export function groupColour(group: number): string {
  const base = groups[group % groups.length]!;
  const round = Math.floor(group / groups.length);
  return round === 0 ? base : mix(base, round % 2 === 1 ? "#ffffff" : "#000000", 0.35);
}

/** Colour of missing values, and of cells in the grey background. */
export const missingColour = "#9aa0a6";

/** Background that a picture is drawn on. */
export type Paper = "light" | "dark";
export const papers: Readonly<Record<Paper, string>> = { light: "#ffffff", dark: "#171c21" };

/**
 * Colours of the palette with a contrast below 3:1 on a background (graphical objects in WCAG 2.1, success
 * criterion 1.4.11), by number, and what replaces them there: of about the same hue for the first ten, far
 * from all other colours for the rest.
 */
const replaced: Readonly<Record<Paper, Readonly<Record<number, string>>>> = {
  light: {
    1: "#d08000",
    4: "#204060",
    11: "#802040",
    16: "#504000",
    17: "#500090",
    19: "#403000",
    26: "#302070",
    29: "#f06070",
    30: "#701050",
    31: "#a02050",
    32: "#403070",
    45: "#004020",
    51: "#6000a0",
    56: "#501060",
    59: "#105040",
  },
  dark: {
    6: "#7040f0",
    7: "#d01040",
    9: "#a030d0",
    10: "#00d0f0",
    13: "#90d0b0",
    20: "#b0e090",
    24: "#80f030",
    27: "#307070",
    28: "#30f0b0",
    34: "#f0b0d0",
    37: "#b0d080",
    38: "#b0f090",
    39: "#c000b0",
    48: "#e0b0f0",
    49: "#f0d0b0",
    54: "#d0e070",
    55: "#b080c0",
    58: "#d00090",
  },
};

/**
 * Colour of a cell type by its number from 0, for a view that knows its background: a contrast of 3:1 or more
 * for the first 60 types.
 */
export function typeColour(paper: Paper, type: number): string {
  if (type >= groups.length) return colourOn(paper, groupColour(type));
  return replaced[paper][type] ?? groupColour(type);
}

/**
 * Minimum contrast of a colour that is mixed. On white it is below 3:1, as darker samples are harder to tell
 * apart with colour blindness.
 */
const minContrast: Readonly<Record<Paper, number>> = { light: 2.15, dark: 3 };
const legible = new Map<string, string>();

/** A colour adapted to a background: mixed with black or white until the contrast suffices. */
export function colourOn(paper: Paper, colour: string): string {
  const key = `${paper} ${colour}`;
  let shown = legible.get(key);
  if (shown === undefined) {
    shown = colour;
    for (let step = 1; contrast(shown, papers[paper]) < minContrast[paper] && step < 50; step++)
      shown = mix(colour, paper === "light" ? "#000000" : "#ffffff", step / 50);
    legible.set(key, shown);
  }
  return shown;
}

/**
 * Number of a cell type for its colour: its place among the types of all annotation levels, so that a type
 * has the same colour on the page and in reports.
 * @param levels - names of the types of each level
 * @returns -1 for a name that is no type
 */
export function typeNumber(levels: readonly (readonly string[])[], name: string): number {
  let before = 0;
  for (const types of levels) {
    const at = types.indexOf(name);
    if (at >= 0) return before + at;
    before += types.length;
  }
  return -1;
}

/** Samples with a colour of their own on dark backgrounds; further ones keep their colour on white. */
const recolouredSamples = 27;

/**
 * Colours of types, groups, samples and unknown cells on white that differ on a dark background, with what
 * they are there: for pictures that follow the theme by style rules.
 */
export function coloursOnDark(): ReadonlyMap<string, string> {
  const pairs = [
    ...Array.from({ length: recolouredSamples }, (_, sample) => sampleColour(sample)).flatMap((colour) => [
      [colour, colourOn("dark", colour)] as const,
      [colourOn("light", colour), colourOn("dark", colour)] as const,
    ]),
    ...groups.map((colour) => [colour, colourOn("dark", colour)] as const),
    ...groups.map((_, type) => [typeColour("light", type), typeColour("dark", type)] as const),
    [unknownColour("light"), unknownColour("dark")] as const,
  ];
  return new Map(pairs.filter(([light, dark]) => light !== dark));
}

/** Contrast of two colours, 1..21 (WCAG 2.1). */
export function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

function luminance(colour: string): number {
  const [r, g, b] = bytesOf(colour).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

/** Tol's muted colours (2021), for samples and other groups that are not cell types. */
const samples = [
  "#332288",
  "#44aa99",
  "#cc6677",
  "#88ccee",
  "#999933",
  "#aa4499",
  "#117733",
  "#ddcc77",
  "#882255",
];

/**
 * Colour of a sample, or of a group that is not a cell type, by its number from 0. Distinct from the types'.
 */
export function sampleColour(sample: number): string {
  const base = samples[sample % samples.length]!;
  const round = Math.floor(sample / samples.length);
  return round === 0 ? base : mix(base, round % 2 === 1 ? "#ffffff" : "#000000", 0.4);
}

/** Colour of cells unlike every known type: the strongest contrast with the background. */
export function unknownColour(paper: Paper): string {
  return paper === "light" ? "#111418" : "#ffffff";
}

/** Expression above zero, from low to high: contrast with the background increases. */
const expressionRamps: Readonly<Record<Paper, readonly string[]>> = {
  light: ["#f2c48d", "#ea8f4f", "#d2512f", "#9c1c33", "#54082f"],
  dark: ["#7a4a3a", "#b8632c", "#e08f2e", "#f3c453", "#fdf3b4"],
};
const zeros: Readonly<Record<Paper, string>> = { light: "#dadde0", dark: "#3a4249" };

/** Colour of expression on a background. @param share - fraction of the highest value, 0..1; 0 is grey */
export function expressionColour(paper: Paper, share: number): string {
  return share > 0 ? colourAt(expressionRamps[paper], share) : zeros[paper];
}

/**
 * Cividis, from low to high (Nunez et al. 2018), without its ends, which are hard to see on near-black and
 * on white.
 */
const ramp = ["#2b446e", "#4a556d", "#666970", "#7d7c78", "#958f78", "#b0a473", "#ccbb68", "#e8d356"];
/** Blue, white, orange: for values centred on zero. */
const divergingRamp = [
  "#00429d",
  "#3c6db0",
  "#7299c4",
  "#abc4da",
  "#f2f2f2",
  "#f3c69c",
  "#e49d5c",
  "#cc7426",
  "#a64d00",
];

/** Colour on the sequential scale. @param share - 0..1 */
export function rampColour(share: number): string {
  return colourAt(ramp, share);
}
/** Colour on the diverging scale. @param share - 0..1, 0.5 in the middle */
export function divergingColour(share: number): string {
  return colourAt(divergingRamp, share);
}

/** Black or white, whichever is easier to read on a colour. */
export function inkOn(colour: string): string {
  const [r, g, b] = bytesOf(colour).map((value) => (value / 255) ** 2.2);
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b! > 0.18 ? "#000000" : "#ffffff";
}

function bytesOf(colour: string): readonly [number, number, number] {
  const value = Number.parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

function colourAt(stops: readonly string[], share: number): string {
  const position = Math.min(1, Math.max(0, share)) * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(position));
  return mix(stops[low]!, stops[low + 1]!, position - low);
}

function mix(from: string, to: string, share: number): string {
  const [a, b] = [bytesOf(from), bytesOf(to)];
  return `#${a
    .map((value, i) =>
      Math.round(value + share * (b[i]! - value))
        .toString(16)
        .padStart(2, "0"),
    )
    .join("")}`;
}
