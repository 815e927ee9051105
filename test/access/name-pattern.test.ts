import t from 'tap';
import { NamePattern } from '../../src/access/name-pattern.js';
import { GlobPattern } from '../../src/structures/glob.js';
import { Random } from '../tools/random.js';

t.test('patterns match what globs match', async (t) => {
  const random = new Random(7);
  const text = (): string =>
    Array.from({ length: random.below(6) }, () =>
      random.pick(['a', 'b', '*', '?', '[', ']', '\\', ':']),
    ).join('');
  for (let round = 0; round < 20_000; round++) {
    const pattern = text();
    const name = Buffer.from(text());
    const expected =
      name.length === 0
        ? pattern === ''
        : new GlobPattern(Buffer.from(pattern)).matches(name, 0, name.length);
    if (new NamePattern(pattern).matches(name, 0, name.length) !== expected) {
      t.fail(`${pattern} and ${name.toString()}`);
    }
  }
  t.pass();
});

t.test('a pattern to subscribe to has to be the same', async (t) => {
  const is = (pattern: string, name: string): boolean => {
    const bytes = Buffer.from(name);
    return new NamePattern(pattern).is(bytes, 0, bytes.length);
  };
  t.ok(is('a*', 'a*'));
  t.notOk(is('a*', 'ab'));
  t.notOk(is('a*', 'a'));
  t.notOk(is('a', 'a*'));
});
