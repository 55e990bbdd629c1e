// Where marks of one place stand. Pure.

export const MARK_PX = 32;
const SLOTS_MAX = 12;

/** Which place to the right each mark takes, in the order given, so that no mark hides one that was placed before. */
export function slotsOf(spots: readonly { x: number; y: number }[]): number[] {
  const taken: { x: number; y: number }[] = [];
  return spots.map(({ x, y }) => {
    let slot = 0;
    const hidden = () => taken.some((other) => Math.abs(other.x - x - slot * MARK_PX) < MARK_PX - 3 && Math.abs(other.y - y) < MARK_PX);
    while (slot < SLOTS_MAX && hidden()) slot += 1;
    taken.push({ x: x + slot * MARK_PX, y });
    return slot;
  });
}
