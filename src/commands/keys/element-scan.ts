/** SSCAN and HSCAN: a scan within one key. */

import type { CommandContext } from '../../execution/context.js';
import type { ValueType } from '../../keyspace/entry.js';
import type { Shard } from '../../keyspace/shard.js';
import type { ByteRange } from '../../structures/byte-range.js';
import { readCursor, readScanOptions, type ScanOptions } from './keys.js';

/** Cursors of a scan within one key are below this. */
const SCAN_CURSORS = 2 ** 30;

const EMPTY_SCAN = Buffer.from('*2\r\n$1\r\n0\r\n*0\r\n');

interface Scannable {
  scanStep(reference: number, cursor: number): number;
  next(): boolean;
}

/**
 * @param type of the key
 * @param word an option of this command's own, '' for none
 * @param select the shard's structure of this type, and where it reads names to
 * @param emit replies with the element that was read; returns how many replies that were
 */
export function scanElements<Collection extends Scannable>(
  context: CommandContext,
  type: ValueType,
  word: '' | 'NOVALUES',
  select: (shard: Shard) => [collection: Collection, name: ByteRange],
  emit: (collection: Collection, options: ScanOptions) => number,
): void {
  const { reply } = context;
  const start = readCursor(context, 2);
  if (start < 0) return;
  const reference = context.readCollection(1, type);
  if (reference < 0) return;
  if (reference === 0) {
    reply.raw(EMPTY_SCAN, 0, EMPTY_SCAN.length);
    return;
  }
  const options = readScanOptions(context, 3, word);
  if (options === null) return;
  const [collection, name] = select(context.shard);
  const { pattern } = options;
  const position = reply.hold();
  let cursor = start % SCAN_CURSORS;
  let visited = 0;
  let count = 0;
  do {
    cursor = collection.scanStep(reference, cursor);
    while (collection.next()) {
      visited++;
      if (pattern !== null && !pattern.matches(name.bytes, name.offset, name.lengthBytes)) continue;
      count += emit(collection, options);
    }
  } while (cursor !== 0 && visited < options.count);
  reply.insert(position, `*2\r\n$${String(cursor).length}\r\n${cursor}\r\n*${count}\r\n`);
}
