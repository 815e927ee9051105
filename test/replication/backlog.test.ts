/** The backlog against one long array. */

import t from 'tap';
import { Backlog } from '../../src/replication/backlog.js';
import { LinkInput } from '../../src/replication/link-input.js';
import { Random } from '../tools/random.js';

t.test('what was appended is there until it is trimmed', async (t) => {
  const random = new Random(5);
  const backlog = new Backlog();
  const first = 1_000_000;
  backlog.reset(first);
  t.equal(backlog.keptBytes, 0);
  const all: number[] = [];
  for (let round = 0; round < 200; round++) {
    const piece = Buffer.from(Array.from({ length: random.below(20_000) }, () => random.below(256)));
    backlog.append(piece);
    for (const byte of piece) all.push(byte);
    const needed = backlog.start + random.below(backlog.keptBytes + 1);
    backlog.trim(needed, 300_000);
    t.ok(backlog.start <= needed, 'what is needed stays');
    t.ok(backlog.keptBytes >= Math.min(300_000, all.length), 'so much stays in any case');
    t.equal(backlog.end, first + all.length);
    const position = backlog.start + random.below(backlog.keptBytes + 1);
    t.ok(backlog.has(position));
    t.notOk(backlog.has(backlog.start - 1));
    const parts: Buffer[] = [];
    for (let at = position; at < backlog.end; ) {
      const part = backlog.read(at);
      parts.push(part);
      at += part.length;
    }
    t.ok(Buffer.concat(parts).equals(Buffer.from(all.slice(position - first))));
  }
  t.equal(backlog.read(backlog.end).length, 0);
});

t.test('what a replica says', async (t) => {
  const input = new LinkInput();
  const text = Buffer.from('*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2\r\n12\r\nPING\r\n\n*1\r\n$4\r\nPING\r\n');
  const commands: string[][] = [];
  for (const byte of text) commands.push(...input.add(Buffer.from([byte])));
  t.same(commands, [['REPLCONF', 'ACK', '12'], ['PING'], ['PING']]);
  t.throws(() => input.add(Buffer.from('*1\r\n:4\r\n')));
});
