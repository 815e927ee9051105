/** Micro-benchmarks of lists: pushes and pops at both ends of a long list, ranges as LRANGE replies them. */

import { Arena } from '../src/memory/arena.js';
import { HeaderWord, ShardMemory } from '../src/memory/shard-memory.js';
import { ReplyWriter } from '../src/protocol/reply-writer.js';
import { ListValue } from '../src/structures/list-value.js';
import { valueLimits } from '../test/tools/value-limits.js';
import type { EngineRow } from './engine-protocol.js';
import { measure } from './engine-protocol.js';

const RANGE = 100;

/** Runs all; `operations` is the number of operations in each round. */
export function listRows(operations = 1_000_000): EngineRow[] {
  const memory = ShardMemory.create(1 << 28, 1);
  const arena = new Arena(memory);
  const lists = new ListValue(memory, arena, valueLimits());
  const reference = HeaderWord.DraftReference << 2;
  const reply = new ReplyWriter();
  const value = Buffer.from('element:00000001');
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  const rows: EngineRow[] = [];

  const push = (atTail: boolean, lengthBytes: number): void => {
    lists.create(reference);
    rows.push(
      measure(`list ${atTail ? 'RPUSH' : 'LPUSH'} of ${lengthBytes} bytes`, operations, () => {
        lists.release(reference);
        lists.create(reference);
        for (let index = 0; index < operations; index++) {
          lists.prepare(reference, lengthBytes, 1);
          lists.push(reference, atTail, value, view, 0, lengthBytes);
        }
      }),
    );
  };
  push(false, 3);
  push(true, 3);
  push(false, 16);
  push(true, 16);

  const range = (count: number): void => {
    rows.push(
      measure(`list range, an element of ${count}`, operations, () => {
        const { element } = lists;
        for (let ranges = Math.floor(operations / count); ranges > 0; ranges--) {
          reply.reset();
          let position = lists.seek(reference, 0);
          for (let left = count; left > 0; left--) {
            position = lists.readOn(position);
            reply.bulkCopy(element.bytes, element.view, element.offset, element.lengthBytes);
          }
        }
      }),
    );
  };
  range(RANGE);
  range(6 * RANGE);

  for (const fromTail of [false, true]) {
    // A pop and a push at the other end, so that each round finds the same list.
    rows.push(
      measure(`list ${fromTail ? 'RPOP, LPUSH' : 'LPOP, RPUSH'} of 16 bytes`, operations, () => {
        for (let index = 0; index < operations; index++) {
          lists.drop(reference, fromTail, 1);
          lists.push(reference, !fromTail, value, view, 0, 16);
        }
      }),
    );
  }
  return rows;
}
