/** Where the host puts the reply of a command, and other texts for the engine. */
import { hostMemoryChanged } from './host';
import { free, malloc } from './lua';

/** What an area keeps when a script ends; most replies are smaller. */
export const REPLY_AREA_BYTES: u32 = 64 * 1024;

let area: usize = malloc(REPLY_AREA_BYTES);
let areaBytes: u32 = REPLY_AREA_BYTES;

export function replyStart(): usize {
  return area;
}

/** Makes the area at least so large; what is in it is lost. Returns where it is, or 0 if there is no memory. */
export function replyArea(bytes: u32): usize {
  if (bytes > areaBytes) {
    const moved = malloc(bytes);
    if (moved === 0) return 0;
    free(area);
    area = moved;
    areaBytes = bytes;
  }
  return area;
}

/** Gives a large area back. */
export function resetReplyArea(): void {
  if (areaBytes === REPLY_AREA_BYTES) return;
  free(area);
  area = malloc(REPLY_AREA_BYTES);
  areaBytes = REPLY_AREA_BYTES;
  hostMemoryChanged();
}
