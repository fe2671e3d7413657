// Places in the stream, "epoch.lists.tiles": each of the two grows; of different epochs nothing is known.

/** {epoch, lists: [ms, n], tiles: [ms, n], text} or null. */
export function parsePosition(text) {
  const match = /^([0-9a-f]+)\.(\d+)-(\d+)\.(\d+)-(\d+)$/.exec(text ?? "");
  if (!match) return null;
  const [, epoch, a, b, c, d] = match;
  return { epoch, lists: [BigInt(a), BigInt(b)], tiles: [BigInt(c), BigInt(d)], text };
}

const order = (one, other) => (one[0] === other[0] ? Number(one[1] > other[1]) - Number(one[1] < other[1]) : one[0] > other[0] ? 1 : -1);

/** Whether something at the place "ms-n" comes after [ms, n]. */
export function isLater(at, other) {
  const [a, b] = at.split("-");
  return order([BigInt(a), BigInt(b)], other) > 0;
}

/** Whether a frame at `one` brings something to who stands at `other`. */
export function later(one, other) {
  if (!one || !other || one.epoch !== other.epoch) return true;
  return order(one.lists, other.lists) > 0 || order(one.tiles, other.tiles) > 0;
}

/** The place of who has heard both. */
export function newest(one, other) {
  if (!one || !other || one.epoch !== other.epoch) return one ?? other;
  return join(one, order(one.lists, other.lists) >= 0 ? one.lists : other.lists, order(one.tiles, other.tiles) >= 0 ? one.tiles : other.tiles);
}

/** The place from which both can be served; null when there is none. */
export function oldest(one, other) {
  if (!one || !other || one.epoch !== other.epoch) return null;
  return join(one, order(one.lists, other.lists) <= 0 ? one.lists : other.lists, order(one.tiles, other.tiles) <= 0 ? one.tiles : other.tiles);
}

function join(like, lists, tiles) {
  const text = `${like.epoch}.${lists[0]}-${lists[1]}.${tiles[0]}-${tiles[1]}`;
  return { epoch: like.epoch, lists, tiles, text };
}
