// Where marks of one place stand. Pure.

export const MARK_PX = 32;
const SLOTS_MAX = 6;

/** Which place to the right each mark takes, in the order given, so that none hides one that was placed before. Null:
 *  too many stand there already, the queue has the rest. */
export function slotsOf(spots: readonly { x: number; y: number }[]): (number | null)[] {
  const taken: { x: number; y: number }[] = [];
  return spots.map(({ x, y }) => {
    let slot = 0;
    const hidden = () => taken.some((other) => Math.abs(other.x - x - slot * MARK_PX) < MARK_PX - 3 && Math.abs(other.y - y) < MARK_PX);
    while (slot < SLOTS_MAX && hidden()) slot += 1;
    if (slot === SLOTS_MAX) return null;
    taken.push({ x: x + slot * MARK_PX, y });
    return slot;
  });
}
