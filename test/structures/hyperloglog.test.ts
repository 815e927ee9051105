import t from 'tap';
import {
  countDense,
  createHistogram,
  DENSE_BYTES,
  denseRegister,
  estimate,
  Form,
  formOf,
  HEADER_BYTES,
  indexOf,
  keepEstimate,
  keptEstimate,
  keptEstimateExactly,
  outdateEstimate,
  placeOf,
  REGISTERS,
  RegisterMaxima,
  raiseDense,
  rankOf,
  writeHeader,
} from '../../src/structures/hyperloglog.js';
import { HyperLogLogDraft } from '../../src/structures/hyperloglog-draft.js';
import { findFailure } from '../../src/structures/hyperloglog-self-test.js';
import { hashMurmur, murmurHash } from '../../src/structures/murmur-hash.js';
import {
  countSparse,
  describeRuns,
  mergeSparse,
  Plan,
  SparseRegisters,
} from '../../src/structures/sparse-registers.js';
import { Random } from '../tools/random.js';

const SEED = Date.now() % 1_000_000;

/** MurmurHash64A, step by step as it is defined. */
function murmurModel(data: Uint8Array, seed: bigint): bigint {
  const m = 0xc6a4a7935bd1e995n;
  const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);
  let hash = seed ^ wrap(BigInt(data.length) * m);
  const read = (from: number, to: number): bigint => {
    let word = 0n;
    for (let at = to - 1; at >= from; at--) word = (word << 8n) | BigInt(data[at]!);
    return word;
  };
  const whole = data.length & ~7;
  for (let at = 0; at < whole; at += 8) {
    let word = wrap(read(at, at + 8) * m);
    word = wrap((word ^ (word >> 47n)) * m);
    hash = wrap((hash ^ word) * m);
  }
  if (whole < data.length) hash = wrap((hash ^ read(whole, data.length)) * m);
  hash = wrap((hash ^ (hash >> 47n)) * m);
  return hash ^ (hash >> 47n);
}

t.test('the hash is MurmurHash64A', async (t) => {
  const random = new Random(SEED);
  const bytes = new Uint8Array(new SharedArrayBuffer(256));
  const view = new DataView(bytes.buffer);
  let wrong = 0;
  for (let round = 0; round < 5000; round++) {
    for (let at = 0; at < bytes.length; at++) bytes[at] = random.chance(0.2) ? 0xff : random.uint32();
    const offset = random.below(64);
    const length = round < 40 ? round : random.below(150);
    hashMurmur(bytes, view, offset, length, 0xadc83b19 | 0);
    const expected = murmurModel(bytes.slice(offset, offset + length), 0xadc83b19n);
    const actual = (BigInt(murmurHash[1]! >>> 0) << 32n) | BigInt(murmurHash[0]! >>> 0);
    if (actual !== expected) wrong++;
    const place = placeOf(bytes, view, offset, length);
    let rest = (expected >> 14n) | (1n << 50n);
    let rank = 1;
    for (; (rest & 1n) === 0n; rest >>= 1n) rank++;
    if (indexOf(place) !== Number(expected & 0x3fffn) || rankOf(place) !== rank) wrong++;
  }
  t.equal(wrong, 0, `seed ${SEED}`);
});

t.test('the header', async (t) => {
  const bytes = new Uint8Array(DENSE_BYTES + 8);
  const view = new DataView(bytes.buffer);
  writeHeader(bytes, view, 3, Form.Dense);
  t.equal(Buffer.from(bytes.subarray(3, 7)).toString(), 'HYLL');
  t.equal(formOf(bytes, view, 3, DENSE_BYTES), Form.Dense);
  t.equal(formOf(bytes, view, 3, DENSE_BYTES - 1), Form.None);
  t.equal(formOf(bytes, view, 3, HEADER_BYTES - 1), Form.None);
  t.equal(formOf(bytes, view, 2, DENSE_BYTES), Form.None);
  writeHeader(bytes, view, 3, Form.Sparse);
  t.equal(formOf(bytes, view, 3, HEADER_BYTES), Form.Sparse);
  bytes[7] = 2;
  t.equal(formOf(bytes, view, 3, HEADER_BYTES), Form.None);
  t.equal(keptEstimate(view, 3), 0);
  for (const value of [1, 0xffffffff, 2 ** 40 + 12345]) {
    keepEstimate(view, 3, value);
    t.equal(keptEstimate(view, 3), value);
    t.equal(keptEstimateExactly(view, 3), BigInt(value));
    outdateEstimate(bytes, 3);
    t.equal(keptEstimate(view, 3), -1);
  }
  keepEstimate(view, 3, Infinity);
  t.equal(keptEstimateExactly(view, 3), 2n ** 63n);
});

/** How many registers have each value. */
function histogramOf(registers: Uint8Array): Int32Array {
  const histogram = createHistogram();
  for (const rank of registers) histogram[rank]!++;
  return histogram;
}

t.test('dense registers and their maxima agree with an array', async (t) => {
  const random = new Random(SEED);
  const bytes = new Uint8Array(new SharedArrayBuffer(4 * DENSE_BYTES));
  const view = new DataView(bytes.buffer);
  const maxima = new RegisterMaxima();
  const histogram = createHistogram();
  let wrong = 0;
  for (let round = 0; round < 8; round++) {
    const expected = new Uint8Array(REGISTERS);
    maxima.clear();
    for (let sketch = 0; sketch < 3; sketch++) {
      const start = sketch * (DENSE_BYTES + 5) + round;
      bytes.fill(0, start, start + DENSE_BYTES);
      bytes[start + DENSE_BYTES] = 0xaa;
      const own = new Uint8Array(REGISTERS);
      const most = random.pick([64, 8, 2]);
      for (let index = 0; index < REGISTERS; index++) {
        const rank = random.below(most);
        if (raiseDense(bytes, start, index, rank) !== rank > 0) wrong++;
        own[index] = rank;
      }
      for (let change = 0; change < 1000; change++) {
        const index = random.below(REGISTERS);
        const rank = random.below(64);
        if (raiseDense(bytes, start, index, rank) !== rank > own[index]!) wrong++;
        own[index] = Math.max(own[index]!, rank);
      }
      for (let index = 0; index < REGISTERS; index++) {
        if (denseRegister(bytes, start, index) !== own[index]) wrong++;
        expected[index] = Math.max(expected[index]!, own[index]!);
      }
      countDense(histogram, view, start);
      if (histogram.join() !== histogramOf(own).join()) wrong++;
      maxima.mergeDense(view, start);
      if (bytes[start + DENSE_BYTES] !== 0xaa) wrong++;
    }
    if (Buffer.compare(maxima.registers, expected) !== 0) wrong++;
    maxima.count(histogram);
    if (histogram.join() !== histogramOf(expected).join()) wrong++;
    maxima.writeDense(view, 1);
    for (let index = 0; index < REGISTERS; index++) {
      if (denseRegister(bytes, 1, index) !== expected[index]) wrong++;
    }
  }
  t.equal(wrong, 0, `seed ${SEED}`);
});

/** The registers that runs say, null if they are not all of them. */
function decodeRuns(bytes: Uint8Array, start: number, end: number): Uint8Array | null {
  const registers: number[] = [];
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte >= 0x80) registers.push(...Array(1 + (byte & 3)).fill(((byte >> 2) & 31) + 1));
    else if (byte < 0x40) registers.push(...Array(byte + 1).fill(0));
    else registers.push(...Array((((byte & 63) << 8) | bytes[++at]!) + 1).fill(0));
  }
  return registers.length === REGISTERS ? Uint8Array.from(registers) : null;
}

t.test('a draft keeps what it is told, sparse or dense', async (t) => {
  const random = new Random(SEED);
  const maxima = new RegisterMaxima();
  const other = new RegisterMaxima();
  const draft = new HyperLogLogDraft(maxima);
  const bytes = new Uint8Array(40_000);
  const view = new DataView(bytes.buffer);
  let wrong = 0;
  let becameDense = 0;
  for (let round = 0; round < 25; round++) {
    const sparseBytesMax = random.pick([0, 20, 100, 3000, 40_000]);
    const expected = new Uint8Array(REGISTERS);
    // Few registers, so that runs of equal ones meet.
    const range = random.pick([16, 200, REGISTERS]);
    draft.beginEmpty();
    for (let step = 0; step < 400; step++) {
      const index = random.below(range);
      const rank = random.chance(0.001) ? 33 : random.between(1, random.pick([3, 32]));
      if (!draft.raise(index, rank, sparseBytesMax)) wrong++;
      expected[index] = Math.max(expected[index]!, rank);
      if (step % 10 !== 0) continue;
      bytes.fill(0xee);
      draft.copyTo(bytes, view, 0);
      const length = draft.lengthBytes;
      if (bytes[length] !== 0xee) wrong++;
      const form = formOf(bytes, view, 0, length);
      if (form === Form.Dense) {
        becameDense++;
        for (let at = 0; at < REGISTERS; at++) if (denseRegister(bytes, 0, at) !== expected[at]) wrong++;
      } else {
        if (length > Math.max(sparseBytesMax, HEADER_BYTES + 2)) wrong++;
        const found = decodeRuns(bytes, HEADER_BYTES, length);
        if (found === null || Buffer.compare(found, expected) !== 0) wrong++;
        other.clear();
        if (!mergeSparse(other, bytes, HEADER_BYTES, length)) wrong++;
        if (Buffer.compare(other.registers, expected) !== 0) wrong++;
        const histogram = countSparse(bytes, HEADER_BYTES, length);
        if (histogram?.join() !== histogramOf(expected).join()) wrong++;
      }
    }
  }
  t.equal(wrong, 0, `seed ${SEED}`);
  t.ok(becameDense > 0);
});

t.test('a search that goes on where the last one ended makes the same runs', async (t) => {
  const random = new Random(SEED);
  const sparse = new SparseRegisters();
  const one = new Uint8Array(40_000);
  const other = new Uint8Array(40_000);
  const oneView = new DataView(one.buffer);
  const otherView = new DataView(other.buffer);
  let wrong = 0;
  for (let round = 0; round < 300; round++) {
    // A single long run.
    one.set([0x7f, 0xff]);
    other.set([0x7f, 0xff]);
    let end = 2;
    let otherEnd = 2;
    const stepMax = random.pick([1, 2, 5, 100]);
    const rankMax = random.pick([1, 2, 32]);
    for (let series = 0; series < 5; series++) {
      const changes: [index: number, rank: number][] = [];
      for (let index = random.below(300); index < 900; index += random.between(1, stepMax)) {
        changes.push([index, random.between(1, rankMax)]);
      }
      for (const [index, rank] of changes) {
        const plan = sparse.plan(one, 0, end, index, rank);
        if (plan === Plan.Changes) end = sparse.apply(one, oneView, 0, end);
      }
      sparse.beginSeries();
      for (const [index, rank] of changes) {
        const plan = sparse.planNext(other, 0, otherEnd, index, rank);
        if (plan === Plan.Changes) otherEnd = sparse.apply(other, otherView, 0, otherEnd);
      }
      if (Buffer.compare(one.subarray(0, end), other.subarray(0, otherEnd)) !== 0) wrong++;
    }
  }
  t.equal(wrong, 0, `seed ${SEED}`);
});

t.test('damaged runs are found out', async (t) => {
  const maxima = new RegisterMaxima();
  const sparse = new SparseRegisters();
  const cases: [string, number[]][] = [
    ['none', []],
    ['too few registers', [0x7f, 0xfe]],
    ['too many', [0x7f, 0xff, 0x00]],
    ['too many of a value', [0x7f, 0xfe, 0x81]],
    ['half of a long run', [0x7f]],
  ];
  for (const [name, runs] of cases) {
    const bytes = Uint8Array.from([...runs, 0xff, 0xff]);
    maxima.clear();
    t.notOk(mergeSparse(maxima, bytes, 0, runs.length), name);
    t.equal(countSparse(bytes, 0, runs.length), null, name);
  }
  t.equal(sparse.plan(Uint8Array.from([0x7f, 0xfe]), 0, 2, REGISTERS - 1, 1), Plan.Damaged);
  t.equal(describeRuns(Uint8Array.from([0x7f, 0xf0, 0x89, 0x0c]), 0, 4), 'Z:16369 v:3,2 z:13');
});

t.test('estimates', async (t) => {
  const histogram = createHistogram();
  histogram[0] = REGISTERS;
  t.equal(estimate(histogram), 0);
  histogram[0] = REGISTERS - 1;
  histogram[1] = 1;
  t.equal(estimate(histogram), 1);
  histogram.fill(0);
  histogram[63] = REGISTERS;
  t.equal(estimate(histogram), Infinity);
  t.equal(findFailure(), '');
});
