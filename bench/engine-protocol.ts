/**
 * Micro-benchmarks of the protocol layer: request parser, reply writer, numbers. Each returns nanoseconds per
 * operation, the best of several rounds, since noise only ever adds.
 */

import { IntegerParser, writeInteger } from '../src/memory/numbers.js';
import { ReplyWriter } from '../src/protocol/reply-writer.js';
import { RequestParser } from '../src/protocol/request-parser.js';

/** One line of the table. */
export interface EngineRow {
  name: string;
  nanosecondsPerOperation: number;
}

const ROUNDS = 7;

/** The best of several rounds. */
export function measure(name: string, operations: number, run: () => void): EngineRow {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    run();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / operations);
  }
  return { name, nanosecondsPerOperation: best };
}

function parseRow(name: string, command: string, commands: number): EngineRow {
  const bytes = Buffer.from(command.repeat(Math.max(1, Math.floor(16_384 / command.length))));
  const perPass = bytes.length / command.length;
  const passes = Math.ceil(commands / perPass);
  const parser = new RequestParser();
  return measure(name, passes * perPass, () => {
    for (let pass = 0; pass < passes; pass++) {
      let position = 0;
      while (position < bytes.length) position = parser.parse(bytes, position, bytes.length, null);
    }
  });
}

function bulk(...args: string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;
}

/** Runs all; `operations` is the number of operations in each round. */
export function protocolRows(operations = 1_000_000): EngineRow[] {
  const rows = [
    parseRow('parse SET k v', bulk('SET', 'k', 'v'), operations),
    parseRow('parse GET, key of 16 bytes', bulk('GET', 'key:000000012345'), operations),
    parseRow('parse SET, value of 100 bytes', bulk('SET', 'key:000000012345', 'v'.repeat(100)), operations),
    parseRow('parse SET, value of 2000 bytes', bulk('SET', 'key:000000012345', 'v'.repeat(2000)), operations),
    parseRow(
      'parse MSET of 10 pairs',
      bulk('MSET', ...new Array<string>(20).fill('key:0001')),
      operations / 10,
    ),
    parseRow('parse inline PING', 'PING\r\n', operations),
  ];

  const reply = new ReplyWriter();
  const source = new Uint8Array(new SharedArrayBuffer(4096)).fill(0x61);
  const view = new DataView(source.buffer);
  const writeRow = (name: string, write: (index: number) => void): void => {
    rows.push(
      measure(name, operations, () => {
        for (let index = 0; index < operations; index++) {
          if ((index & 63) === 0) reply.reset();
          write(index);
        }
      }),
    );
  };
  writeRow('reply OK', () => reply.ok());
  writeRow('reply integer below 1000', (index) => reply.integer(index % 1000));
  writeRow('reply integer of 9 digits', (index) => reply.integer(123_000_000 + index));
  for (const lengthBytes of [3, 16, 64, 192, 256, 1024]) {
    writeRow(`reply bulk of ${lengthBytes} bytes`, () => reply.bulkCopy(source, view, 8, lengthBytes));
  }

  const parser = new IntegerParser();
  const digits = Buffer.from('1234567890');
  const target = new Uint8Array(32);
  rows.push(
    measure('parse integer of 10 digits', operations, () => {
      for (let index = 0; index < operations; index++) parser.parse(digits, 0, digits.length);
    }),
    measure('write integer of 9 digits', operations, () => {
      for (let index = 0; index < operations; index++) writeInteger(target, 0, 123_000_000 + index);
    }),
  );
  return rows;
}
