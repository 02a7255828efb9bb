// How different two colours look, at least: to normal sight, deuteranopia, protanopia and tritanopia. Source:
// Machado et al. 2009 (severity 1, linear RGB); OKLab of Ottosson 2020.

const sights = {
  normal: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  protanopia: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deuteranopia: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritanopia: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
};

function linear(colour: string): number[] {
  return [1, 3, 5].map((at) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
}

function oklab([r, g, b]: readonly number[]): number[] {
  const l = Math.cbrt(0.4122214708 * r! + 0.5363325363 * g! + 0.0514459929 * b!);
  const m = Math.cbrt(0.2119034982 * r! + 0.6806995451 * g! + 0.1073969566 * b!);
  const s = Math.cbrt(0.0883024619 * r! + 0.2817188376 * g! + 0.6299787005 * b!);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

const known = new Map<string, number[][]>();
function seen(colour: string): number[][] {
  let converted = known.get(colour);
  if (!converted) {
    const rgb = linear(colour);
    converted = Object.values(sights).map((matrix) =>
      oklab(
        [0, 1, 2].map((row) =>
          Math.min(
            1,
            Math.max(
              0,
              matrix[3 * row]! * rgb[0]! + matrix[3 * row + 1]! * rgb[1]! + matrix[3 * row + 2]! * rgb[2]!,
            ),
          ),
        ),
      ),
    );
    known.set(colour, converted);
  }
  return converted;
}

/** Distance in OKLab to the sight for which it is the least. */
export function colourDistance(a: string, b: string): number {
  const [first, second] = [seen(a), seen(b)];
  return Math.min(
    ...first.map((lab, sight) => Math.hypot(...lab.map((value, i) => value - second[sight]![i]!))),
  );
}
