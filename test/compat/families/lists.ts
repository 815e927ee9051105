/** Commands on lists, short and long, with chunks of all sizes. */

import type { Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

/** Few keys, so that commands mostly find a list. */
function listKey(v: Vocabulary): Word {
  return v.chance(0.03) ? v.key() : v.pick(['l1', 'l2', '{l}3', '{l}4', 'l5']);
}

/** Few values, so that searches find some of them more than once. */
function element(v: Vocabulary): Word {
  const dice = v.below(20);
  if (dice < 6) return String(v.below(10));
  if (dice < 12) return v.pick(['a', 'b', 'c', 'element', 'x'.repeat(70)]);
  if (dice === 12) return v.pick(['y'.repeat(3000), 'z'.repeat(9000), 'w'.repeat(20_000)]);
  return v.value();
}

function elements(v: Vocabulary): Word[] {
  const most = v.chance(0.1) ? 200 : 8;
  return Array.from({ length: v.between(1, most) }, () => element(v));
}

function index(v: Vocabulary): Word {
  return v.chance(0.85) ? String(v.between(-30, 30)) : v.integerOrNot();
}

function side(v: Vocabulary): Word {
  return v.chance(0.03) ? 'MIDDLE' : v.spelled(v.pick(['LEFT', 'RIGHT']));
}

function count(v: Vocabulary): Word {
  return v.chance(0.85) ? String(v.below(12)) : v.integerOrNot();
}

export const lists: Family = {
  name: 'lists',
  commands: [
    [12, (v) => ['RPUSH', listKey(v), ...elements(v)]],
    [12, (v) => ['LPUSH', listKey(v), ...elements(v)]],
    [2, (v) => ['RPUSHX', listKey(v), ...elements(v)]],
    [2, (v) => ['LPUSHX', listKey(v), ...elements(v)]],
    [6, (v) => ['LPOP', listKey(v), ...(v.chance(0.5) ? [] : [count(v)])]],
    [6, (v) => ['RPOP', listKey(v), ...(v.chance(0.5) ? [] : [count(v)])]],
    [5, (v) => ['LLEN', listKey(v)]],
    [8, (v) => ['LRANGE', listKey(v), index(v), index(v)]],
    [4, (v) => ['LRANGE', listKey(v), '0', '-1']],
    [6, (v) => ['LINDEX', listKey(v), index(v)]],
    [7, (v) => ['LSET', listKey(v), index(v), element(v)]],
    [
      7,
      (v) => [
        'LINSERT',
        listKey(v),
        v.chance(0.03) ? 'AT' : v.spelled(v.pick(['BEFORE', 'AFTER'])),
        element(v),
        element(v),
      ],
    ],
    [6, (v) => ['LREM', listKey(v), v.chance(0.8) ? String(v.between(-3, 3)) : v.integerOrNot(), element(v)]],
    [2, (v) => ['LTRIM', listKey(v), index(v), index(v)]],
    [2, (v) => ['LTRIM', listKey(v), String(v.below(4)), String(-v.between(1, 4))]],
    [
      8,
      (v) => [
        'LPOS',
        listKey(v),
        element(v),
        ...v.options(3, [
          () => ['RANK', v.chance(0.8) ? String(v.between(-4, 4)) : v.integerOrNot()],
          () => ['COUNT', count(v)],
          () => ['MAXLEN', count(v)],
          () => ['BOGUS'],
        ]),
      ],
    ],
    [6, (v) => ['LMOVE', listKey(v), listKey(v), side(v), side(v)]],
    [3, (v) => ['RPOPLPUSH', listKey(v), listKey(v)]],
    [
      5,
      (v) => {
        const keys = Array.from({ length: v.between(1, 3) }, () => listKey(v));
        const keyCount = v.chance(0.9) ? String(keys.length) : v.integerOrNot();
        return [
          'LMPOP',
          keyCount,
          ...keys,
          side(v),
          ...v.options(1, [() => ['COUNT', count(v)], () => ['COUNT', count(v)], () => ['BOGUS']]),
        ];
      },
    ],
    [1, (v) => ['DEL', listKey(v)]],
    [1, (v) => ['TYPE', listKey(v)]],
    [1, (v) => ['COPY', listKey(v), listKey(v), 'REPLACE']],
    [1, (v) => ['RENAME', listKey(v), listKey(v)]],
    [1, (v) => ['SET', listKey(v), v.value()]],
    [1, (v) => ['GET', listKey(v)]],
    [1, (v) => ['EXPIRE', listKey(v), v.seconds()]],
    [1, (v) => ['OBJECT', 'ENCODING', listKey(v)]],
    [1, (v) => ['CONFIG', 'SET', 'list-compress-depth', v.pick(['0', '1', '2'])]],
    [
      1,
      (v) => [
        'CONFIG',
        'SET',
        'list-max-listpack-size',
        v.pick(['-2', '-2', '-1', '-5', '0', '1', '4', '20']),
      ],
    ],
  ],
  shortLived: [(v) => ['PEXPIRE', listKey(v), String(v.between(1, 3))]],
};
