import t from 'tap';
import { Crc64 } from '../../src/persistence/crc64.js';
import { Random } from '../tools/random.js';

/** Bit by bit, as the definition says. */
function reference(bytes: Uint8Array): bigint {
  let crc = 0n;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x95ac9329ac4bc9b5n : crc >> 1n;
  }
  return crc;
}

function of(crc: Crc64): bigint {
  return (BigInt(crc.high >>> 0) << 32n) | BigInt(crc.low >>> 0);
}

t.test('known value', async (t) => {
  const bytes = new TextEncoder().encode('123456789');
  const crc = new Crc64();
  crc.update(bytes, new DataView(bytes.buffer), 0, bytes.length);
  t.equal(of(crc), 0xe9c6d914c4b8d9can);
});

t.test('random bytes in random pieces', async (t) => {
  const seed = 20260101;
  const random = new Random(seed);
  for (let round = 0; round < 50; round++) {
    const bytes = Uint8Array.from({ length: random.below(300) }, () => random.below(256));
    const view = new DataView(bytes.buffer);
    const crc = new Crc64();
    for (let at = 0; at < bytes.length; ) {
      const piece = Math.min(bytes.length - at, random.below(40));
      crc.update(bytes, view, at, piece);
      at += piece;
    }
    if (of(crc) !== reference(bytes)) t.fail(`seed ${seed}, round ${round}`);
  }
  t.pass('all are equal');
});
