/**
 * Builds RDB files byte by byte, in all forms that Redis has ever written values in. It shares no code with the server's
 * reader, and redis-server is asked whether it reads the same.
 */

import { lzfCompress } from '../../src/memory/lzf.js';
import { Crc64 } from '../../src/persistence/crc64.js';
import type { Random } from './random.js';

/** A length field; `form` makes it longer than it has to be. */
export function rdbLength(length: number, form: 'short' | 'long' | 'longest' = 'short'): Buffer {
  if (form === 'longest') {
    const bytes = Buffer.alloc(9, 0x81);
    bytes.writeBigUInt64BE(BigInt(length), 1);
    return bytes;
  }
  if (form === 'long' || length >= 16384) {
    const bytes = Buffer.alloc(5, 0x80);
    bytes.writeUInt32BE(length, 1);
    return bytes;
  }
  return length < 64 ? Buffer.from([length]) : Buffer.from([0x40 | (length >> 8), length & 255]);
}

/** A string as it is. */
export function rdbString(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([rdbLength(bytes.length), bytes]);
}

/** A string in any form that stands for it. */
export function anyRdbString(random: Random, text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  const number = Number(bytes.toString('latin1'));
  if (String(number) === bytes.toString('latin1') && Math.abs(number) < 2 ** 31 && random.chance(0.7)) {
    const forms: [number, number][] = [
      [1, 0x7f],
      [2, 0x7fff],
      [4, 0x7fffffff],
    ];
    const fitting = forms.filter(([, max]) => Number.isInteger(number) && Math.abs(number) <= max);
    if (fitting.length > 0) {
      const [width] = random.pick(fitting);
      const encoded = Buffer.alloc(1 + width, 0xc0 | [1, 2, 4].indexOf(width));
      encoded.writeIntLE(number, 1, width);
      return encoded;
    }
  }
  if (bytes.length > 8 && random.chance(0.7)) {
    const target = new Uint8Array(bytes.length);
    const source = new Uint8Array(bytes);
    const compressed = lzfCompress(
      source,
      new DataView(source.buffer),
      0,
      bytes.length,
      target,
      0,
      bytes.length - 4,
    );
    if (compressed > 0) {
      return Buffer.concat([
        Buffer.from([0xc3]),
        rdbLength(compressed),
        rdbLength(bytes.length),
        target.subarray(0, compressed),
      ]);
    }
  }
  return Buffer.concat([rdbLength(bytes.length, random.pick(['short', 'long', 'longest'])), bytes]);
}

/** The integer that a string is the canonical form of, within int64; null for any other string. */
function integerOf(text: Buffer): bigint | null {
  const latin1 = text.toString('latin1');
  if (!/^(0|-?[1-9]\d{0,18})$/.test(latin1)) return null;
  const value = BigInt(latin1);
  return BigInt.asIntN(64, value) === value ? value : null;
}

function littleEndian(value: bigint, width: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes.subarray(0, width);
}

function fits(value: bigint, bits: number): boolean {
  return BigInt.asIntN(bits, value) === value;
}

function ziplistElement(text: Buffer): Buffer {
  const value = integerOf(text);
  if (value !== null) {
    if (value >= 0n && value <= 12n) return Buffer.from([0xf1 + Number(value)]);
    for (const [head, bits] of [
      [0xfe, 8],
      [0xc0, 16],
      [0xf0, 24],
      [0xd0, 32],
      [0xe0, 64],
    ] as const) {
      if (fits(value, bits)) return Buffer.concat([Buffer.from([head]), littleEndian(value, bits / 8)]);
    }
  }
  const { length } = text;
  if (length < 64) return Buffer.concat([Buffer.from([length]), text]);
  if (length < 16384) return Buffer.concat([Buffer.from([0x40 | (length >> 8), length & 255]), text]);
  const head = Buffer.alloc(5, 0x80);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, text]);
}

export function ziplist(elements: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  let before = 0;
  let at = 10;
  let last = 10;
  for (const element of elements) {
    const prefix = before < 254 ? Buffer.from([before]) : Buffer.alloc(5, 254);
    if (before >= 254) prefix.writeUInt32LE(before, 1);
    const part = Buffer.concat([prefix, ziplistElement(element)]);
    parts.push(part);
    last = at;
    before = part.length;
    at += before;
  }
  const head = Buffer.alloc(10);
  head.writeUInt32LE(at + 1, 0);
  head.writeUInt32LE(last, 4);
  head.writeUInt16LE(Math.min(elements.length, 0xffff), 8);
  return Buffer.concat([head, ...parts, Buffer.from([255])]);
}

function listpackElement(text: Buffer): Buffer {
  const value = integerOf(text);
  if (value !== null) {
    if (value >= 0n && value < 128n) return Buffer.from([Number(value)]);
    if (fits(value, 13)) {
      const unsigned = Number(BigInt.asUintN(13, value));
      return Buffer.from([0xc0 | (unsigned >> 8), unsigned & 255]);
    }
    for (const [head, bits] of [
      [0xf1, 16],
      [0xf2, 24],
      [0xf3, 32],
      [0xf4, 64],
    ] as const) {
      if (fits(value, bits)) return Buffer.concat([Buffer.from([head]), littleEndian(value, bits / 8)]);
    }
  }
  const { length } = text;
  if (length < 64) return Buffer.concat([Buffer.from([0x80 | length]), text]);
  if (length < 4096) return Buffer.concat([Buffer.from([0xe0 | (length >> 8), length & 255]), text]);
  const head = Buffer.alloc(5, 0xf0);
  head.writeUInt32LE(length, 1);
  return Buffer.concat([head, text]);
}

/** An element's length in groups of seven bits, to be read from its end: all bytes but the first say that more come. */
function backLength(length: number): Buffer {
  const width = length <= 127 ? 1 : length < 16383 ? 2 : 3;
  return Buffer.from(
    Array.from({ length: width }, (_, at) => {
      const group = (length >> (7 * (width - 1 - at))) & 127;
      return at === 0 ? group : group | 128;
    }),
  );
}

export function listpack(elements: readonly Buffer[]): Buffer {
  const parts = elements.flatMap((element) => {
    const bytes = listpackElement(element);
    return [bytes, backLength(bytes.length)];
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(6 + body.length + 1, 0);
  head.writeUInt16LE(Math.min(elements.length, 0xffff), 4);
  return Buffer.concat([head, body, Buffer.from([255])]);
}

export function intset(values: readonly bigint[]): Buffer {
  const sorted = [...values].sort((left, right) => (left < right ? -1 : 1));
  const bits = [16, 32, 64].find((width) => sorted.every((value) => fits(value, width)))!;
  const head = Buffer.alloc(8);
  head.writeUInt32LE(bits / 8, 0);
  head.writeUInt32LE(sorted.length, 4);
  return Buffer.concat([head, ...sorted.map((value) => littleEndian(value, bits / 8))]);
}

/** Fields and values in turns. */
export function zipmap(random: Random, elements: readonly Buffer[]): Buffer {
  const length = (bytes: Buffer) => {
    if (bytes.length < 254) return Buffer.from([bytes.length]);
    const long = Buffer.alloc(5, 254);
    long.writeUInt32LE(bytes.length, 1);
    return long;
  };
  const parts: Uint8Array[] = [Buffer.from([Math.min(elements.length / 2, 254)])];
  for (let at = 0; at < elements.length; at += 2) {
    const free = random.below(4);
    const [field, value] = [elements[at]!, elements[at + 1]!];
    parts.push(length(field), field, length(value), Buffer.from([free]), value, Buffer.alloc(free));
  }
  return Buffer.concat([...parts, Buffer.from([255])]);
}

/** A whole file; from version 5 on it has a checksum, or 0 for none. */
export function rdbFile(version: number, body: Buffer, hasChecksum = true): Buffer {
  const file = Buffer.concat([
    Buffer.from(`REDIS${String(version).padStart(4, '0')}`),
    body,
    Buffer.from([255]),
  ]);
  if (version < 5) return file;
  const checksum = Buffer.alloc(8);
  if (hasChecksum) {
    const crc = new Crc64();
    const bytes = new Uint8Array(file);
    crc.update(bytes, new DataView(bytes.buffer), 0, bytes.length);
    checksum.writeInt32LE(crc.low, 0);
    checksum.writeInt32LE(crc.high, 4);
  }
  return Buffer.concat([file, checksum]);
}

/** The types of values with the first version that has them. */
export const RDB_FORMS: readonly (readonly [type: number, version: number, name: string])[] = [
  [0, 1, 'string'],
  [1, 1, 'list'],
  [2, 1, 'set'],
  [3, 1, 'sorted set with scores as text'],
  [4, 1, 'hash'],
  [9, 2, 'zipmap'],
  [10, 2, 'list as ziplist'],
  [11, 2, 'set as intset'],
  [12, 2, 'sorted set as ziplist'],
  [13, 4, 'hash as ziplist'],
  [14, 7, 'quicklist of ziplists'],
  [5, 8, 'sorted set with binary scores'],
  [16, 10, 'hash as listpack'],
  [17, 10, 'sorted set as listpack'],
  [18, 10, 'quicklist of listpacks'],
  [20, 11, 'set as listpack'],
];

function randomElement(random: Random): Buffer {
  switch (random.below(7)) {
    case 0:
      return Buffer.from(String(random.below(40) - 20));
    case 1:
      return Buffer.from(String(random.below(2 ** random.below(32)) - 2 ** random.below(31)));
    case 2: {
      const value = BigInt.asIntN(64, (BigInt(random.uint32()) << 32n) | BigInt(random.uint32()));
      return Buffer.from(String(value >> BigInt(random.below(40))));
    }
    case 3:
      return Buffer.from('text '.repeat(random.below(30)));
    case 4:
      return Buffer.from(
        Array.from({ length: random.pick([0, 63, 64, 253, 254, 300, 5000, 17000]) }, () => random.below(256)),
      );
    case 5:
      return Buffer.from(
        random.pick([
          '007',
          '-0',
          '+1',
          ' 1',
          '9223372036854775807',
          '-9223372036854775808',
          '9223372036854775808',
        ]),
      );
    default:
      return Buffer.from(`element ${random.below(100000)}`);
  }
}

function distinct(elements: readonly Buffer[]): Buffer[] {
  return [...new Map(elements.map((element) => [element.toString('latin1'), element])).values()];
}

function randomScore(random: Random): string {
  return random.pick(['0', '1', '-17', '3.5', '1e100', 'inf', '-inf', String(random.below(1e6) / 16)]);
}

/** A value of a type with a few random elements, in the form of that type. */
export function rdbValue(random: Random, type: number): Buffer {
  const count = 1 + random.below(random.pick([3, 10, 60]));
  const elements = distinct(Array.from({ length: count }, () => randomElement(random)));
  const string = (text: string | Buffer) => anyRdbString(random, text);
  const strings = (all: readonly Buffer[]) => all.map(string);
  const pairs = elements.flatMap((element) => [element, randomElement(random)]);
  const scored = elements.flatMap((element) => [element, Buffer.from(randomScore(random))]);
  const size = rdbLength(elements.length);
  switch (type) {
    case 0:
      return string(elements[0]!);
    case 1:
    case 2:
      return Buffer.concat([size, ...strings(elements)]);
    case 3:
    case 5: {
      const parts = elements.map((element) => {
        const score = randomScore(random);
        if (type === 5) {
          const binary = Buffer.alloc(8);
          binary.writeDoubleLE(score === 'inf' ? Infinity : score === '-inf' ? -Infinity : Number(score));
          return Buffer.concat([string(element), binary]);
        }
        if (score === 'inf') return Buffer.concat([string(element), Buffer.from([254])]);
        if (score === '-inf') return Buffer.concat([string(element), Buffer.from([255])]);
        return Buffer.concat([string(element), Buffer.from([score.length]), Buffer.from(score)]);
      });
      return Buffer.concat([size, ...parts]);
    }
    case 4:
      return Buffer.concat([size, ...strings(pairs)]);
    case 9:
      return string(zipmap(random, pairs));
    case 10:
      return string(ziplist(elements));
    case 11: {
      const shift = BigInt(random.pick([0, 32, 48]));
      const values = elements.map(
        () => BigInt.asIntN(64, (BigInt(random.uint32()) << 32n) | BigInt(random.uint32())) >> shift,
      );
      return string(intset([...new Set(values)]));
    }
    case 12:
      return string(ziplist(inOrder(scored)));
    case 13:
      return string(ziplist(pairs));
    case 14: {
      const half = elements.length >> 1;
      const nodes = [elements.slice(0, half), elements.slice(half)].filter((node) => node.length > 0);
      return Buffer.concat([rdbLength(nodes.length), ...nodes.map((node) => string(ziplist(node)))]);
    }
    case 16:
      return string(listpack(pairs));
    case 17:
      return string(listpack(inOrder(scored)));
    case 18: {
      const half = elements.length >> 1;
      const nodes = [elements.slice(0, half), elements.slice(half)].filter((node) => node.length > 0);
      const packed = nodes.map((node) => Buffer.concat([rdbLength(2), string(listpack(node))]));
      const plain = Buffer.concat([rdbLength(1), rdbString('plain '.repeat(2000))]);
      return Buffer.concat([rdbLength(packed.length + 1), ...packed, plain]);
    }
    case 20:
      return string(listpack(elements));
    default:
      throw new Error(`no such type: ${type}`);
  }
}

/** Members and scores in the order of a sorted set, as Redis keeps its packed ones. */
function inOrder(scored: readonly Buffer[]): Buffer[] {
  const value = (score: Buffer) => Number(score.toString().replace('inf', 'Infinity'));
  const pairs = Array.from({ length: scored.length / 2 }, (_, pair) => [
    scored[2 * pair]!,
    scored[2 * pair + 1]!,
  ]);
  pairs.sort(([left, leftScore], [right, rightScore]) => {
    const difference = value(leftScore!) - value(rightScore!);
    return Number.isNaN(difference) || difference === 0 ? Buffer.compare(left!, right!) : difference;
  });
  return pairs.flat();
}

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

/** A form of collections whose elements come one by one. */
export interface ElementForm {
  readonly name: string;
  readonly type: number;
  /** The first version of files that has it. */
  readonly version: number;
  /** What precedes the count of the elements. */
  readonly head: Buffer;
  readonly element: (number: number) => Buffer;
}

const NOTHING = Buffer.alloc(0);

export const ELEMENT_FORMS: readonly ElementForm[] = [
  {
    name: 'list',
    type: 1,
    version: 10,
    head: NOTHING,
    element: (number) => rdbString(`element ${number}`),
  },
  {
    name: 'set',
    type: 2,
    version: 10,
    head: NOTHING,
    element: (number) => rdbString(`element ${number}`),
  },
  {
    name: 'hash',
    type: 4,
    version: 10,
    head: NOTHING,
    element: (number) => Buffer.concat([rdbString(`field ${number}`), rdbString('value')]),
  },
  {
    name: 'sorted set',
    type: 5,
    version: 10,
    head: NOTHING,
    element: (number) => Buffer.concat([rdbString(`member ${number}`), double(number % 100)]),
  },
  {
    name: 'list of chunks',
    type: 18,
    version: 10,
    head: NOTHING,
    element: (number) =>
      Buffer.concat([rdbLength(2), rdbString(listpack([Buffer.from(`element ${number}`)]))]),
  },
  {
    name: 'hash with fields that expire',
    type: 24,
    version: 12,
    head: littleEndian(4_000_000_000_000n, 8),
    element: (number) =>
      Buffer.concat([rdbLength(1 + number), rdbString(`field ${number}`), rdbString('value')]),
  },
];

/** A collection with some elements that declares another number of them. */
export function rdbCollection(form: ElementForm, count: number, declared = count): Buffer {
  const elements = Array.from({ length: count }, (_, number) => form.element(number));
  return Buffer.concat([form.head, rdbLength(declared), ...elements]);
}

/** The body of a file with `count` values of each type that a version has. */
export function rdbBody(random: Random, version: number, count: number, types?: readonly number[]): Buffer {
  const parts: Buffer[] = [];
  if (version >= 7)
    parts.push(
      Buffer.from([250]),
      rdbString('redis-ver'),
      rdbString('test'),
      Buffer.from([250]),
      rdbString('ctime'),
      anyRdbString(random, '1700000000'),
    );
  let number = 0;
  for (const database of [0, 3]) {
    parts.push(Buffer.from([254]), rdbLength(database));
    if (version >= 7) parts.push(Buffer.from([251]), rdbLength(100), rdbLength(10));
    for (const [type, since] of RDB_FORMS) {
      if (since > version || (types !== undefined && !types.includes(type))) continue;
      for (let key = 0; key < count; key++) {
        if (random.chance(0.2)) {
          const seconds = Buffer.alloc(5, 253);
          seconds.writeInt32LE(2_000_000_000 + random.below(1000), 1);
          const milliseconds = Buffer.alloc(9, 252);
          milliseconds.writeBigInt64LE(2_000_000_000_000n + BigInt(random.below(100_000)), 1);
          parts.push(version < 3 || random.chance(0.5) ? seconds : milliseconds);
        }
        if (version >= 9 && random.chance(0.2)) {
          parts.push(
            random.chance(0.5) ? Buffer.concat([Buffer.from([248]), rdbLength(100)]) : Buffer.from([249, 7]),
          );
        }
        parts.push(Buffer.from([type]), anyRdbString(random, `${type}:${number++}`), rdbValue(random, type));
      }
    }
  }
  return Buffer.concat(parts);
}
