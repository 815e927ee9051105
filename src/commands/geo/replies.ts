/** How places and distances are replied. */

import type { ReplyWriter } from '../../protocol/reply-writer.js';
import { TEXT_BYTES_MAX, writeCoordinate, writeDistance } from '../../structures/geo/coordinate-text.js';

const text = new Uint8Array(TEXT_BYTES_MAX);
const textView = new DataView(text.buffer);

/** A pair of longitude and latitude in degrees. */
export function replyCoordinates(reply: ReplyWriter, longitude: number, latitude: number): void {
  reply.array(2);
  reply.doubleCopy(text, textView, 0, writeCoordinate(text, 0, longitude));
  reply.doubleCopy(text, textView, 0, writeCoordinate(text, 0, latitude));
}

/** A distance in ten thousandths of a unit. */
export function replyDistance(reply: ReplyWriter, tenThousandths: number): void {
  reply.bulkCopy(text, textView, 0, writeDistance(text, 0, tenThousandths));
}
