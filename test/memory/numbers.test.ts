import t from 'tap';
import {
  formatDouble,
  formatDouble17,
  IntegerParser,
  integerLength,
  parseDouble,
  writeInteger,
} from '../../src/memory/numbers.js';
import { addLongDoubles, formatLongDouble, parseLongDouble } from '../../src/protocol/long-double.js';
import { Random } from '../tools/random.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';

function parseInteger(text: string): bigint | null {
  const bytes = Buffer.from(`7${text}7`, 'latin1');
  const parser = new IntegerParser();
  return parser.parse(bytes, 1, text.length) ? parser.toBigInt() : null;
}

t.test('integers', async (t) => {
  for (const text of [
    '0',
    '1',
    '-1',
    '10',
    '9007199254740991',
    '9007199254740992',
    '-9007199254740993',
    '9223372036854775807',
    '-9223372036854775808',
  ]) {
    t.equal(parseInteger(text), BigInt(text), text);
  }
  for (const text of [
    '',
    '-',
    '+1',
    '-0',
    '00',
    '01',
    '-01',
    ' 1',
    '1 ',
    '1a',
    'a',
    '1.0',
    '9223372036854775808',
    '-9223372036854775809',
    '99999999999999999999',
    '999999999999999999999',
    '1\0',
  ]) {
    t.equal(parseInteger(text), null, JSON.stringify(text));
  }
});

t.test('integers are written as they are read', async (t) => {
  const seed = Date.now() | 0;
  const random = new Random(seed);
  const bytes = new Uint8Array(64);
  const check = (value: number): boolean => {
    const length = writeInteger(bytes, 5, value);
    const text = Buffer.from(bytes.buffer, 5, length).toString();
    return text === String(value) && integerLength(value) === length && parseInteger(text) === BigInt(value);
  };
  const values = [
    0,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
    2 ** 31,
    -(2 ** 31),
    2 ** 31 - 1,
    2 ** 32,
  ];
  for (let power = 1; power <= 1e15; power *= 10) values.push(power, power - 1, -power, 1 - power || 0);
  for (let round = 0; round < 20_000; round++) {
    const magnitude = Math.floor(2 ** (random.below(530) / 10));
    values.push(random.chance(0.5) ? magnitude : -magnitude);
  }
  const wrong = values.filter((value) => !check(value));
  t.same(wrong, [], `seed ${seed}`);
});

t.test('doubles as "%.17g"', async (t) => {
  for (const [value, text] of [
    [0, '0'],
    [-0, '-0'],
    [1, '1'],
    [0.1, '0.10000000000000001'],
    [-1.5, '-1.5'],
    [1e16, '10000000000000000'],
    [1e17, '1e+17'],
    [123456789012345680000, '1.2345678901234568e+20'],
    [0.0001, '0.0001'],
    [0.00001, '1.0000000000000001e-05'],
    [5e-324, '4.9406564584124654e-324'],
    [Infinity, 'inf'],
    [-Infinity, '-inf'],
    [NaN, 'nan'],
  ] as const) {
    t.equal(formatDouble17(value), text);
    t.equal(formatDouble(value), text);
  }
});

const ODD_NUMBERS = [
  'inf',
  '-inf',
  '+INF',
  'infinity',
  'infin',
  'nan',
  '-NaN',
  'nan(1)',
  '',
  '.',
  '+',
  '-',
  'e5',
  '.5',
  '5.',
  '-.5e1',
  '1e',
  '1e+',
  ' 1',
  '1 ',
  '\t1',
  '1\n',
  '1_0',
  '0x10',
  '0x',
  '0x.8p-2',
  '0X1P+4',
  '0x1p',
  '0x1e+5',
  '0x.p1',
  '1e400',
  '-1e400',
  '1e-400',
  '00012',
  '-0',
  '1e4932',
  '1.1e4932',
  '1.189e4932',
  '1.2e4932',
  '0x1p16383',
  '0x1p16384',
  '1e5000',
  '3.6e-4951',
  '1.9e-4951',
  '1.7e-4951',
  '1e-4960',
  '0x1p-16446',
  '0x1.8p-16446',
  '0x0p99999999',
  '0e99999999',
  '1e99999999999',
  '0x1p-99999999999',
  '1.8446744073709551616e19',
  '18446744073709551615.5',
  '0.000000000000000005',
  '99999999999999999',
];

function randomNumber(random: Random): string {
  const digits = (lengthMin: number, lengthMax: number) =>
    Array.from({ length: random.between(lengthMin, lengthMax) }, () => random.below(10)).join('');
  const sign = random.pick(['', '', '-', '-', '+']);
  switch (random.below(8)) {
    case 0:
      return sign + digits(1, 20);
    case 1:
      return `${sign}${digits(1, 12)}.${digits(1, 20)}`;
    case 2:
      return `${sign}0.${'0'.repeat(random.below(20))}${digits(1, 19)}`;
    case 3:
      return `${sign}${digits(1, 5)}.${digits(0, 6)}e${random.pick(['', '-', '+'])}${random.below(random.pick([20, 330, 5200]))}`;
    case 4:
      return `${sign}${digits(15, 40)}.${digits(0, 30)}`;
    case 5:
      return `${sign}0x${random.uint32().toString(16)}.${random.below(4096).toString(16)}p${random.between(-80, 80)}`;
    case 6:
      return sign + random.pick(['1', '0.1', '1.1', '3.3', '100', '1e3', '5e-18']);
    default:
      return random.pick(ODD_NUMBERS);
  }
}

/** INCRBYFLOAT's reply as text. */
function increment(value: string, by: string): string {
  const left = parseLongDouble(value);
  const right = parseLongDouble(by);
  if (left === null || right === null) return 'ERR value is not a valid float';
  const sum = left === 'infinite' || right === 'infinite' ? 'infinite' : addLongDoubles(left, right);
  return sum === 'infinite' ? 'ERR increment would produce NaN or Infinity' : formatLongDouble(sum);
}

t.test('against redis-server', { skip: skipWithoutRedis() }, async (t) => {
  const redis = await TestServer.start({ kind: 'redis' });
  t.teardown(() => redis.stop());
  const client = redis.client();
  const seed = Date.now() | 0;
  const random = new Random(seed);

  await t.test('INCRBYFLOAT', async (t) => {
    const pairs = Array.from({ length: 20_000 }, () => [randomNumber(random), randomNumber(random)]);
    for (const odd of ODD_NUMBERS) pairs.push([odd, '1'], ['-1', odd], [odd, odd]);
    const pipeline = client.pipeline();
    for (const [value, by] of pairs) pipeline.set('k', value).incrbyfloat('k', by);
    const replies = (await pipeline.exec())!;
    const wrong = pairs
      .map(([value, by], index) => {
        const [error, reply] = replies[2 * index + 1];
        return { value, by, actual: increment(value, by), expected: error ? error.message : reply };
      })
      .filter(({ actual, expected }) => actual !== expected);
    t.same(wrong.slice(0, 5), [], `seed ${seed}`);
  });

  await t.test('doubles read and shown', async (t) => {
    const texts = [...ODD_NUMBERS, ...Array.from({ length: 10_000 }, () => randomNumber(random))];
    const pipeline = client.pipeline();
    for (const text of texts) pipeline.del('z').zadd('z', text, 'm').zscore('z', 'm');
    const replies = (await pipeline.exec())!;
    const wrong = texts
      .map((text, index) => {
        const value = parseDouble(text);
        return {
          text,
          // A small sorted set keeps scores like -0 as integers.
          actual: Number.isNaN(value) ? null : formatDouble(value === 0 ? 0 : value),
          expected: replies[3 * index + 2][1] as string | null,
        };
      })
      .filter(({ actual, expected }) => actual !== expected);
    t.same(wrong.slice(0, 20), [], `seed ${seed}: ${wrong.length}`);
  });
});
