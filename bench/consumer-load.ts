/**
 * Load that redis-benchmark can't make: consumers of a group that read a stream and acknowledge what they have got.
 */

import { command, hasLines, LoadConnection, sampleOf } from './load-connection.js';
import type { Sample } from './workloads.js';

const CONSUMERS = 10;
const ENTRIES_PER_READ = 100;
const KEY = 'jobs';
const GROUP = 'workers';
const ADDED_PER_WRITE = 1000;
/** An id in a reply is a bulk string of digits, "-" and digits; nothing else in these entries looks like it. */
const ID = /\$\d+\r\n(\d+-\d+)\r\n/g;

/** Makes a stream of so many entries of two fields, and a group that has read nothing of it. */
async function fill(connection: LoadConnection, entries: number): Promise<void> {
  const group = command('XGROUP', 'CREATE', KEY, GROUP, '0', 'MKSTREAM');
  await connection.send(command('DEL', KEY) + group, hasLines(2));
  for (let first = 0; first < entries; first += ADDED_PER_WRITE) {
    let request = '';
    const end = Math.min(entries, first + ADDED_PER_WRITE);
    for (let number = first; number < end; number++) {
      request += command('XADD', KEY, '*', 'task', `task:${number}`, 'user', number % 1000);
    }
    await connection.send(request, hasLines(2 * (end - first)));
  }
}

/** Reads and acknowledges until nothing is left; notes how long each turn takes, in ms. */
async function consume(port: number, number: number, turns: number[]): Promise<void> {
  const connection = await LoadConnection.open(port);
  const read = command(
    ...['XREADGROUP', 'GROUP', GROUP, `consumer ${number}`, 'COUNT', ENTRIES_PER_READ, 'STREAMS', KEY, '>'],
  );
  let request = read;
  let acknowledgements = 0;
  for (;;) {
    const start = performance.now();
    const reply = await connection.send(request, (text) => isTurn(text, acknowledgements));
    turns.push(performance.now() - start);
    const ids = Array.from(reply.matchAll(ID), ([, id]) => id!);
    if (ids.length === 0) break;
    request = command('XACK', KEY, GROUP, ...ids) + read;
    acknowledgements = 1;
  }
  connection.close();
}

/** Whether a text is the reply to a turn: perhaps a number, and then either nothing read or all that was. */
function isTurn(text: string, acknowledgements: number): boolean {
  let at = 0;
  if (acknowledgements > 0) {
    at = text.indexOf('\r\n') + 2;
    if (at < 2) return false;
  }
  if (text.startsWith('*-1\r\n', at)) return true;
  // *1, *2, the key in two lines, *entries; of each entry *2, its id in two lines, *4 and four texts in eight lines.
  const head = /^\*1\r\n\*2\r\n\$\d+\r\n[^\r]*\r\n\*(\d+)\r\n/.exec(text.slice(at, at + 100));
  if (head === null || !text.endsWith('\r\n')) return false;
  let lines = Number(head[1]) * 12;
  for (let end = at + head[0].length; lines > 0; lines--) {
    end = text.indexOf('\r\n', end) + 2;
    if (end < 2) return false;
  }
  return true;
}

/** Fills a stream, outside of what is measured, and has consumers read and acknowledge it. */
export async function consumeGroup(port: number, entries: number, cpuSeconds: () => number): Promise<Sample> {
  const connection = await LoadConnection.open(port);
  await fill(connection, entries);
  connection.close();
  return sampleOf(entries, cpuSeconds, async (turns) => {
    await Promise.all(Array.from({ length: CONSUMERS }, (_, number) => consume(port, number, turns)));
  });
}
