import t from 'tap';
import { RdbOutput } from '../../src/persistence/rdb-output.js';
import { Random } from '../tools/random.js';

const LENGTH_BYTES = 2 << 20;
/** Of a length field of 32 bits. */
const HEAD_BYTES = 5;

function written(bytes: Uint8Array): Uint8Array {
  const output = new RdbOutput();
  output.string(bytes, new DataView(bytes.buffer), 0, bytes.length);
  return output.bytes.subarray(0, output.length);
}

t.test('long strings are compressed if a sample gets shorter', async (t) => {
  const random = new Random(1);
  const bytes = Uint8Array.from({ length: LENGTH_BYTES }, () => random.below(256));
  bytes.fill(0, 0, LENGTH_BYTES / 8);
  const asItIs = written(bytes);
  t.equal(asItIs.length, HEAD_BYTES + LENGTH_BYTES, 'what begins alike and goes on by chance');
  t.equal(Buffer.compare(asItIs.subarray(HEAD_BYTES), bytes), 0);
  bytes.fill(0);
  t.ok(written(bytes).length < LENGTH_BYTES / 50, 'zeros');
  for (let at = 0; at < LENGTH_BYTES; at++) bytes[at] = at % 7 === 0 ? random.below(256) : 0x61;
  t.ok(written(bytes).length < LENGTH_BYTES, 'what gets a little shorter');
});
