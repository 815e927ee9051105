import t from 'tap';
import { lzfCompress, lzfDecompress } from '../../src/memory/lzf.js';
import { Random } from '../tools/random.js';

const MARGIN = 8;

function randomBytes(random: Random): Uint8Array {
  const length = random.chance(0.1) ? random.below(40000) : random.below(400);
  const alphabet = random.pick([1, 2, 4, 30, 256]);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    if (at > 0 && random.chance(0.2)) {
      const from = random.below(at);
      for (let left = random.below(500); left > 0 && at < length; left--) {
        bytes[at] = bytes[from + ((at - from) % (at - from || 1))]!;
        at++;
      }
    } else bytes[at++] = random.below(alphabet);
  }
  return bytes;
}

t.test('round trips', async (t) => {
  const seed = 7001;
  const random = new Random(seed);
  let compressedCount = 0;
  for (let round = 0; round < 2000; round++) {
    const bytes = randomBytes(random);
    const room = random.chance(0.8) ? Math.max(0, bytes.length - 4) : random.below(bytes.length + 20);
    const target = new Uint8Array(room + 2 * MARGIN).fill(0xaa);
    const length = lzfCompress(bytes, new DataView(bytes.buffer), 0, bytes.length, target, MARGIN, room);
    if (length > room || target.subarray(0, MARGIN).some((byte) => byte !== 0xaa))
      t.fail(`seed ${seed}: room`);
    if (target.subarray(MARGIN + room).some((byte) => byte !== 0xaa)) t.fail(`seed ${seed}: beyond the room`);
    if (length === 0) continue;
    compressedCount++;
    const back = new Uint8Array(bytes.length + 2 * MARGIN);
    const isGood = lzfDecompress(target, MARGIN, length, back, MARGIN, bytes.length);
    if (!isGood || !Buffer.from(back.subarray(MARGIN, MARGIN + bytes.length)).equals(bytes)) {
      t.fail(`seed ${seed}, round ${round}: ${bytes.length} bytes`);
    }
    if (lzfDecompress(target, MARGIN, length, back, MARGIN, bytes.length + 1)) t.fail('a longer text');
    if (bytes.length > 0 && lzfDecompress(target, MARGIN, length, back, MARGIN, bytes.length - 1)) {
      t.fail('a shorter text');
    }
  }
  t.ok(compressedCount > 500, `${compressedCount} were compressible`);
});

t.test('hostile input stays within its bounds', async (t) => {
  const seed = 7002;
  const random = new Random(seed);
  for (let round = 0; round < 20000; round++) {
    const source = Uint8Array.from({ length: random.below(30) }, () =>
      random.chance(0.5) ? random.below(256) : random.below(8),
    );
    const size = random.below(100);
    const target = new Uint8Array(size + 2 * MARGIN).fill(0xaa);
    lzfDecompress(source, 0, source.length, target, MARGIN, size);
    for (let at = 0; at < MARGIN; at++) {
      if (target[at] !== 0xaa || target[size + MARGIN + at] !== 0xaa) t.fail(`seed ${seed}, round ${round}`);
    }
  }
  t.pass('nothing was written outside');
});
