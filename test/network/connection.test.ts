import t from 'tap';
import { Connection } from '../../src/network/connection.js';

const events = { peerAddress: () => '', localAddress: () => '' };
const bytesFrom = (start: number, count: number) =>
  Uint8Array.from({ length: count }, (_, index) => (start + index) & 255);

t.test('output that waits is gathered in few chunks, in order', (t) => {
  const connection = new Connection(-1, events);
  const all: number[] = [];
  for (let round = 0; round < 200; round++) {
    const bytes = bytesFrom(round, round === 100 ? 100_000 : 700);
    connection.queueOutput(bytes, 5, bytes.length);
    all.push(...bytes.subarray(5));
  }
  t.equal(connection.pendingOutputBytes, all.length);
  t.ok(connection.output.blockCount < 20);
  const queued: Uint8Array[] = [];
  while (connection.output.lengthBytes > 0) {
    const { bytes, start, end } = connection.output.first;
    queued.push(bytes.slice(start, end));
    connection.outputSent(end - start);
  }
  t.ok(Buffer.concat(queued).equals(Buffer.from(all)));
  t.equal(connection.pendingOutputBytes, 0);
  t.end();
});

t.test('input is kept, moved and grown', (t) => {
  const connection = new Connection(-1, events);
  t.equal(connection.input, null);
  connection.keepInput(bytesFrom(0, 100), 40, 100, 10);
  const input = connection.input as Uint8Array;
  t.equal(connection.inputLength, 60);
  t.equal(input[0], 40);
  connection.keepInput(input, 10, 60, 0);
  t.equal(connection.input, input);
  t.equal(input[0], 50);
  connection.inputLength = input.length;
  connection.growInput();
  t.equal(connection.inputLength, input.length);
  t.ok((connection.input as unknown as Uint8Array).length >= 2 * input.length);
  t.equal((connection.input as unknown as Uint8Array)[0], 50);
  t.end();
});
