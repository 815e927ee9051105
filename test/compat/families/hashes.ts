/** Commands on hashes; of those that draw at random, the forms that leave nothing to chance. */

import type { Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

const COMMON = ['a', 'b', 'c', 'name', 'count', '1', '2', '-7', '300', '70000'];

const NUMBERS = [
  '1',
  '-1',
  '0',
  '10',
  '9223372036854775807',
  '-9223372036854775808',
  '9007199254740993',
  'x',
  '',
];

function field(v: Vocabulary): Word {
  return v.chance(0.8) ? v.pick(COMMON) : v.value();
}

function value(v: Vocabulary): Word {
  return v.chance(0.5) ? v.pick(NUMBERS) : v.value();
}

function fields(v: Vocabulary): Word[] {
  return Array.from({ length: v.between(1, 6) }, () => field(v));
}

/** A few pairs, or so many that the hash leaves its small encoding; now and then one word too few. */
function pairs(v: Vocabulary): Word[] {
  const isMany = v.chance(0.03);
  const start = v.below(500);
  const count = isMany ? v.between(100, 700) : v.between(1, 5);
  const words = Array.from({ length: count }, (_, index) => [
    isMany ? `f${start + index}` : field(v),
    isMany ? String(index) : value(v),
  ]).flat();
  return v.chance(0.95) ? words : words.slice(0, -1);
}

export const hashes: Family = {
  name: 'hashes',
  commands: [
    [20, (v) => ['HSET', v.key(), ...pairs(v)]],
    [4, (v) => ['HMSET', v.key(), ...pairs(v)]],
    [5, (v) => ['HSETNX', v.key(), field(v), value(v)]],
    [8, (v) => ['HGET', v.key(), field(v)]],
    [5, (v) => ['HMGET', v.key(), ...fields(v)]],
    [6, (v) => ['HGETALL', v.key()]],
    [3, (v) => ['HKEYS', v.key()]],
    [3, (v) => ['HVALS', v.key()]],
    [8, (v) => ['HDEL', v.key(), ...fields(v)]],
    [4, (v) => ['HEXISTS', v.key(), field(v)]],
    [4, (v) => ['HLEN', v.key()]],
    [4, (v) => ['HSTRLEN', v.key(), field(v)]],
    [8, (v) => ['HINCRBY', v.key(), field(v), v.chance(0.8) ? v.pick(NUMBERS) : v.integerOrNot()]],
    // No number beyond the range: it would make Redis's next SORT fail, which looks at an old errno.
    [
      8,
      (v) => [
        'HINCRBYFLOAT',
        v.key(),
        field(v),
        v.pick(['1', '0.1', '-2.5', '1e3', '5e-10', 'inf', 'nan', 'x', '']),
      ],
    ],
    [2, (v) => ['HRANDFIELD', v.key(), v.pick(['0', '100000', '9223372036854775807', 'x', ''])]],
    [1, (v) => ['HRANDFIELD', v.key(), v.pick(['0', '100000', '9223372036854775807', 'x']), 'WITHVALUES']],
    [1, (v) => ['HRANDFIELD', v.key(), '0', 'x']],
    [2, (v) => ['HSCAN', v.key(), '0', 'COUNT', '100000', ...v.options(1, [() => ['MATCH', v.pattern()]])]],
    [1, (v) => ['HSCAN', v.key(), v.pick(['x', '']), ...v.options(1, [() => ['COUNT', v.integerOrNot()]])]],
    [1, (v) => ['HSCAN', v.key(), '0', 'TYPE', 'hash']],
    [2, (v) => ['TYPE', v.key()]],
    [1, (v) => ['DEBUG', 'DIGEST-VALUE', v.key()]],
    [2, (v) => ['SET', v.key(), v.value()]],
    [2, (v) => ['GET', v.key()]],
    [2, (v) => ['DEL', ...v.keys(2)]],
    [1, (v) => ['UNLINK', ...v.keys(2)]],
    [2, (v) => ['RENAME', v.key(), v.key()]],
    [2, (v) => ['COPY', v.key(), v.key(), ...v.options(1, [() => ['REPLACE']])]],
    [2, (v) => ['EXPIRE', v.key(), v.seconds()]],
    [1, (v) => ['CONFIG', 'SET', 'hash-max-listpack-entries', v.pick(['512', '4', '0'])]],
    [1, (v) => ['CONFIG', 'SET', 'hash-max-listpack-value', v.pick(['64', '3', '0', '2000'])]],
    [2, (v) => ['OBJECT', 'ENCODING', v.key()]],
    [2, (v) => ['HSCAN', v.key(), '0', 'COUNT', v.integerOrNot(), 'MATCH', v.pattern()]],
    [1, () => ['FLUSHDB']],
  ],
};
