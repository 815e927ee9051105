/** Patterns and prefixes found by the text that they begin with, against asking each of them. */

import t from 'tap';
import { PatternIndex } from '../../src/pubsub/pattern-index.js';
import { PrefixIndex } from '../../src/pubsub/prefix-index.js';
import { GlobPattern } from '../../src/structures/glob.js';
import { Random } from '../tools/random.js';

const seed = Date.now() % 1_000_000;
const random = new Random(seed);

/** A short text of few letters, so that many have the same beginning. */
const text = (letters: string, lengthMax: number) =>
  Array.from({ length: random.below(lengthMax + 1) }, () => random.pick([...letters])).join('');

t.test('patterns', async (t) => {
  for (let round = 0; round < 40; round++) {
    const index = new PatternIndex<string>();
    const patterns = new Set(Array.from({ length: random.below(60) }, () => text('ab*?[]\\^-\xff', 7)));
    for (const pattern of patterns) index.add(pattern, pattern);
    t.equal(index.size, patterns.size);
    for (let count = 0; count < 40; count++) {
      const name = text('ab*[\xff', 6);
      const bytes = Buffer.from(`..${name}..`, 'latin1');
      const found: string[] = [];
      index.match(bytes, 2, name.length, name, (pattern) => found.push(pattern));
      const expected = [...patterns].filter((pattern) =>
        new GlobPattern(Buffer.from(pattern, 'latin1')).matches(bytes, 2, name.length),
      );
      const isSame = found.sort().join('\n') === expected.sort().join('\n');
      if (!isSame) t.same(found, expected, `seed ${seed}, ${JSON.stringify(name)}`);
    }
  }
});

t.test('prefixes', async (t) => {
  for (let round = 0; round < 40; round++) {
    const index = new PrefixIndex<string>();
    const prefixes = new Set(Array.from({ length: random.below(40) }, () => text('ab\0', 5)));
    for (const prefix of prefixes) index.add(prefix, prefix);
    for (let count = 0; count < 40; count++) {
      const name = text('ab\0', 6);
      const found: string[] = [];
      index.match(name, (prefix) => found.push(prefix));
      const expected = [...prefixes].filter((prefix) => name.startsWith(prefix));
      const isSame = found.sort().join('\n') === expected.sort().join('\n');
      if (!isSame) t.same(found, expected, `seed ${seed}, ${JSON.stringify(name)}`);
    }
  }
});
