/** SHA-1 (FIPS 180-4), in hexadecimal digits. */
export const SHA1_HEX_BYTES = 40;

const BLOCK_BYTES = 64;
const schedule = memory.data(80 * 4, 4);
const lastBlocks = memory.data(2 * 64, 8);
const hex = memory.data(40, 8);

let a: u32 = 0;
let b: u32 = 0;
let c: u32 = 0;
let d: u32 = 0;
let e: u32 = 0;

function addBlock(block: usize): void {
  for (let t = 0; t < 16; t++) store<u32>(schedule + t * 4, bswap(load<u32>(block + t * 4)));
  for (let t = 16; t < 80; t++) {
    const at = schedule + t * 4;
    store<u32>(
      at,
      rotl(load<u32>(at - 12) ^ load<u32>(at - 32) ^ load<u32>(at - 56) ^ load<u32>(at - 64), 1),
    );
  }
  let v = a;
  let w = b;
  let x = c;
  let y = d;
  let z = e;
  for (let t = 0; t < 80; t++) {
    let f: u32;
    let k: u32;
    if (t < 20) {
      f = (w & x) | (~w & y);
      k = 0x5a827999;
    } else if (t < 40) {
      f = w ^ x ^ y;
      k = 0x6ed9eba1;
    } else if (t < 60) {
      f = (w & x) | (w & y) | (x & y);
      k = 0x8f1bbcdc;
    } else {
      f = w ^ x ^ y;
      k = 0xca62c1d6;
    }
    const next = rotl(v, 5) + f + z + k + load<u32>(schedule + t * 4);
    z = y;
    y = x;
    x = rotl(w, 30);
    w = v;
    v = next;
  }
  a += v;
  b += w;
  c += x;
  d += y;
  e += z;
}

function writeWord(word: u32, to: usize): void {
  for (let digit = 0; digit < 8; digit++) {
    const value = (word >> (28 - 4 * digit)) & 15;
    store<u8>(to + digit, value < 10 ? 0x30 + value : 0x57 + value);
  }
}

/** Returns where the 40 digits are, until the next call. */
export function sha1Hex(bytes: usize, length: u32): usize {
  a = 0x67452301;
  b = 0xefcdab89;
  c = 0x98badcfe;
  d = 0x10325476;
  e = 0xc3d2e1f0;
  const whole = length / BLOCK_BYTES;
  for (let block: u32 = 0; block < whole; block++) addBlock(bytes + block * BLOCK_BYTES);
  const rest = length - whole * BLOCK_BYTES;
  memory.fill(lastBlocks, 0, 2 * BLOCK_BYTES);
  memory.copy(lastBlocks, bytes + whole * BLOCK_BYTES, rest);
  store<u8>(lastBlocks + rest, 0x80);
  const end = lastBlocks + (rest < 56 ? 64 : 128);
  store<u64>(end - 8, bswap(<u64>length * 8));
  addBlock(lastBlocks);
  if (rest >= 56) addBlock(lastBlocks + 64);
  writeWord(a, hex);
  writeWord(b, hex + 8);
  writeWord(c, hex + 16);
  writeWord(d, hex + 24);
  writeWord(e, hex + 32);
  return hex;
}
