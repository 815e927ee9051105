import t from 'tap';
import { GlobPattern } from '../../src/structures/glob.js';
import { Random } from '../tools/random.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';

function matches(pattern: string, text: string, ignoreCase = false): boolean {
  // Surrounded by bytes that must not be looked at.
  const bytes = Buffer.from(`xx${text}xx`, 'latin1');
  return new GlobPattern(Buffer.from(pattern, 'latin1'), ignoreCase).matches(bytes, 2, text.length);
}

t.test('tokens', async (t) => {
  for (const [pattern, text, expected] of [
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    ['**', 'abc', true],
    ['**', '', false],
    ['[a-\xff]', '0', true],
    ['?', '', false],
    ['h?llo', 'hello', true],
    ['h*o', 'hello', true],
    ['h*o*', 'ho', true],
    ['h[a-e]llo', 'hello', true],
    ['h[e-a]llo', 'hello', true],
    ['h[^e]llo', 'hello', false],
    ['h[^', 'hx', true],
    ['h[', 'hx', false],
    ['h[ae', 'he', true],
    ['h[a-', 'h-', true],
    ['a\\*', 'a*', true],
    ['a\\*', 'ab', false],
    ['a\\', 'a\\', true],
    ['[\\]]', ']', true],
    ['[a-]]', ']', true],
    ['\xff?\x00', '\xff\xfe\x00', true],
  ] as const) {
    t.equal(matches(pattern, text), expected, JSON.stringify([pattern, text]));
  }
  t.equal(matches('MAX*', 'maxmemory'), false);
  t.equal(matches('MAX*', 'maxmemory', true), true);
  t.equal(matches('[A-C]x', 'bX', true), true);
});

t.test('many stars do not blow up', async (t) => {
  const text = 'a'.repeat(20_000);
  t.equal(matches(`${'a*'.repeat(1000)}b`, text), false);
  t.equal(matches(`${'*a'.repeat(1000)}`, text), true);
});

t.test('the same keys as redis-server', { skip: skipWithoutRedis() }, async (t) => {
  const redis = await TestServer.start({ kind: 'redis' });
  t.teardown(() => redis.stop());
  const client = redis.client();
  const seed = Date.now() | 0;
  const random = new Random(seed);
  const alphabet = 'ab]-^A*?\\[\x80';
  const draw = (lengthMax: number, letters: string) =>
    Array.from({ length: random.between(0, lengthMax) }, () => letters[random.below(letters.length)]).join(
      '',
    );
  const keys = new Set<string>();
  for (let index = 0; index < 600; index++) keys.add(draw(6, alphabet));
  await client.mset(...[...keys].flatMap((key) => [Buffer.from(key, 'latin1'), '']));
  for (let round = 0; round < 3000; round++) {
    const pattern = draw(8, `${alphabet}**[[`);
    const found = await client.callBuffer('KEYS', Buffer.from(pattern, 'latin1'));
    const expected = (found as Buffer[]).map((key) => key.toString('latin1')).sort();
    const actual = [...keys].filter((key) => matches(pattern, key)).sort();
    if (!t.same(actual, expected, `${escape(pattern)} (seed ${seed})`)) break;
  }
});
