/** Commands on keys of any type: existence, names, expiry, databases. */

import type { Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

function conditions(v: Vocabulary): Word[] {
  if (v.chance(0.5)) return [];
  return v.options(
    2,
    ['NX', 'XX', 'GT', 'LT', 'GT', 'LT', 'BOGUS'].map((word) => () => [word]),
  );
}

export const keys: Family = {
  name: 'keys',
  commands: [
    [6, (v) => ['SET', v.key(), v.value()]],
    [4, (v) => ['SET', v.key(), v.value(), 'EX', v.seconds()]],
    [4, (v) => ['GET', v.key()]],
    [3, (v) => ['DEL', ...v.keys(4)]],
    [2, (v) => ['UNLINK', ...v.keys(4)]],
    [3, (v) => ['EXISTS', ...v.keys(5)]],
    [2, (v) => ['TOUCH', ...v.keys(5)]],
    [2, (v) => ['TYPE', v.key()]],
    [3, (v) => ['RENAME', v.key(), v.key()]],
    [3, (v) => ['RENAMENX', v.key(), v.key()]],
    [
      5,
      (v) => [
        'COPY',
        v.key(),
        v.key(),
        ...v.options(2, [() => ['DB', v.database()], () => ['REPLACE'], () => ['REPLACE'], () => ['BOGUS']]),
      ],
    ],
    [3, (v) => ['MOVE', v.key(), v.database()]],
    [1, (v) => ['SWAPDB', v.database(), v.database()]],
    [2, (v) => ['SELECT', v.database()]],
    [1, () => ['RANDOMKEY']],
    [3, (v) => ['KEYS', v.pattern()]],
    [
      3,
      (v) => [
        'SCAN',
        v.chance(0.9) ? '0' : v.pick(['x', '-1', '', '18446744073709551616', '00']),
        ...v.options(3, [
          () => ['MATCH', v.pattern()],
          () => ['COUNT', v.chance(0.8) ? String(v.between(1, 50)) : v.integerOrNot()],
          () => ['TYPE', v.pick(['string', 'hash', 'list', 'set', 'zset', 'stream', 'STRING', 'bogus'])],
          () => ['BOGUS'],
        ]),
      ],
    ],
    [2, () => ['DBSIZE']],
    [4, (v) => ['EXPIRE', v.key(), v.seconds(), ...conditions(v)]],
    [4, (v) => ['PEXPIRE', v.key(), v.milliseconds(), ...conditions(v)]],
    [4, (v) => ['EXPIREAT', v.key(), v.unixSeconds(), ...conditions(v)]],
    [4, (v) => ['PEXPIREAT', v.key(), v.unixMilliseconds(), ...conditions(v)]],
    [3, (v) => ['TTL', v.key()]],
    [3, (v) => ['PTTL', v.key()]],
    [3, (v) => ['EXPIRETIME', v.key()]],
    [3, (v) => ['PEXPIRETIME', v.key()]],
    [3, (v) => ['PERSIST', v.key()]],
    [
      3,
      (v) => [
        'OBJECT',
        v.spelled(v.pick(['ENCODING', 'ENCODING', 'IDLETIME', 'REFCOUNT', 'FREQ', 'BOGUS'])),
        v.key(),
      ],
    ],
    [0.5, (v) => ['FLUSHDB', ...(v.chance(0.5) ? [] : [v.pick(['SYNC', 'ASYNC', 'sync', 'BOGUS'])])]],
    [0.3, (v) => ['FLUSHALL', ...(v.chance(0.5) ? [] : [v.pick(['SYNC', 'ASYNC', 'async', 'BOGUS'])])]],
  ],
  shortLived: [
    (v) => ['PEXPIRE', v.key(), String(v.between(1, 3))],
    (v) => ['PEXPIRE', v.key(), '1', v.pick(['NX', 'XX', 'LT'])],
    (v) => ['SET', v.key(), v.value(), 'PX', '1'],
  ],
};
