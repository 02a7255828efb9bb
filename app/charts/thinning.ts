// How many points are drawn while the camera moves: all, or every k-th on a machine without a graphics card,
// so that the picture follows the pointer.

/** Pictures that take longer are thinned, and those that take less get more points again, in ms. */
const [tooLong, short] = [90, 40];
const most = 64;
/**
 * Points that a machine without a graphics card draws fast enough: what it starts with, as its first whole
 * picture may take longer than a movement.
 */
const softwarePoints = 10_000;

/** Whether the processor draws, from what WebGL says of its renderer. */
export function isSoftware(renderer: string): boolean {
  return /swiftshader|llvmpipe|softpipe|software/i.test(renderer);
}

export class Thinning {
  #k = 1;
  #changed: number | null = null;

  /** every k-th point is drawn while one moves */
  get k(): number {
    return this.#k;
  }

  /** The processor draws so many points. */
  expectSlow(points: number): void {
    this.#k = Math.min(most, Math.max(this.#k, Math.ceil(points / softwarePoints)));
  }

  cameraChanged(now: number): void {
    this.#changed ??= now;
  }

  /**
   * To be called when the browser takes the next picture.
   * @returns whether from now on another share of the points is to be drawn
   */
  pictureDrawn(now: number): boolean {
    if (this.#changed === null) return false;
    const took = now - this.#changed;
    const before = this.#k;
    this.#changed = null;
    if (took > tooLong) this.#k = Math.min(most, Math.ceil(before * Math.min(4, took / tooLong)));
    else if (took < short) this.#k = Math.ceil(before / 2);
    return this.#k !== before;
  }
}
