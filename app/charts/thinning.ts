// How many points are drawn while one moves about: all, or on a machine that is slow at it (without a graphics card) every k-th, so that the picture follows the hand.

/** Pictures that take longer are thinned, and those that take less get more points again, in ms. */
const [tooLong, short] = [90, 40];
const most = 64;

export class Thinning {
  #k = 1;
  #changed: number | null = null;

  /** every k-th point is drawn while one moves */
  get k(): number {
    return this.#k;
  }

  cameraChanged(now: number): void {
    this.#changed ??= now;
  }

  /** To be called when the browser takes the next picture. @returns whether from now on another share of the points is to be drawn */
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
