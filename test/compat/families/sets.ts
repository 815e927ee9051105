/** Commands on sets; of those that draw at random, the forms that leave nothing to chance. */

import type { Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

const COMMON = ['a', 'b', 'c', 'd', 'e', '1', '2', '3', '-5', '300', '70000', '5000000000'];

function member(v: Vocabulary): Word {
  return v.chance(0.75) ? v.pick(COMMON) : v.value();
}

/** A few members, or so many that the set leaves its small encodings. */
function members(v: Vocabulary): Word[] {
  if (v.chance(0.03)) {
    const start = v.below(500);
    const prefix = v.chance(0.5) ? 'm' : '';
    return Array.from({ length: v.between(100, 700) }, (_, index) => `${prefix}${start + index}`);
  }
  return Array.from({ length: v.between(1, 6) }, () => member(v));
}

function numberedKeys(v: Vocabulary): Word[] {
  const keys = v.keys(4);
  const count = v.chance(0.9) ? String(keys.length) : v.pick(['0', '-1', 'x', '9', '']);
  return [
    count,
    ...keys,
    ...v.options(1, [() => ['LIMIT', v.pick(['0', '1', '2', '-1', 'x'])], () => ['LIMIT']]),
  ];
}

export const sets: Family = {
  name: 'sets',
  commands: [
    [20, (v) => ['SADD', v.key(), ...members(v)]],
    [8, (v) => ['SREM', v.key(), ...members(v)]],
    [4, (v) => ['SCARD', v.key()]],
    [5, (v) => ['SISMEMBER', v.key(), member(v)]],
    [3, (v) => ['SMISMEMBER', v.key(), ...members(v)]],
    [6, (v) => ['SMEMBERS', v.key()]],
    [6, (v) => ['SMOVE', v.key(), v.key(), member(v)]],
    [5, (v) => ['SINTER', ...v.keys(4)]],
    [5, (v) => ['SUNION', ...v.keys(4)]],
    [5, (v) => ['SDIFF', ...v.keys(4)]],
    [4, (v) => ['SINTERSTORE', v.key(), ...v.keys(3)]],
    [4, (v) => ['SUNIONSTORE', v.key(), ...v.keys(3)]],
    [4, (v) => ['SDIFFSTORE', v.key(), ...v.keys(3)]],
    [4, (v) => ['SINTERCARD', ...numberedKeys(v)]],
    [2, (v) => ['SPOP', v.key(), v.pick(['0', '100000', 'x', '9223372036854775808'])]],
    [1, (v) => ['SPOP', v.key(), '1', 'x']],
    [2, (v) => ['SRANDMEMBER', v.key(), v.pick(['0', '100000', '9223372036854775807', 'x', ''])]],
    [1, (v) => ['SRANDMEMBER', v.key(), '1', 'x']],
    [2, (v) => ['SSCAN', v.key(), '0', 'COUNT', '100000', ...v.options(1, [() => ['MATCH', v.pattern()]])]],
    [1, (v) => ['SSCAN', v.key(), v.pick(['x', '']), ...v.options(1, [() => ['COUNT', v.integerOrNot()]])]],
    [2, (v) => ['TYPE', v.key()]],
    [2, (v) => ['SET', v.key(), v.value()]],
    [2, (v) => ['GET', v.key()]],
    [2, (v) => ['DEL', ...v.keys(2)]],
    [1, (v) => ['UNLINK', ...v.keys(2)]],
    [2, (v) => ['RENAME', v.key(), v.key()]],
    [2, (v) => ['COPY', v.key(), v.key(), ...v.options(1, [() => ['REPLACE']])]],
    [2, (v) => ['EXPIRE', v.key(), v.seconds()]],
    [1, (v) => ['PERSIST', v.key()]],
    [1, (v) => ['CONFIG', 'SET', 'set-max-intset-entries', v.pick(['512', '4', '0'])]],
    [2, (v) => ['OBJECT', 'ENCODING', v.key()]],
    [2, (v) => ['SSCAN', v.key(), '0', 'COUNT', v.integerOrNot(), 'MATCH', v.pattern()]],
    [1, () => ['FLUSHDB']],
  ],
};
