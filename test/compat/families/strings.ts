/** Commands on string values. */

import type { Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

function expiryOptions(v: Vocabulary): (() => Word[])[] {
  return [
    () => ['EX', v.seconds()],
    () => ['PX', v.milliseconds()],
    () => ['EXAT', v.unixSeconds()],
    () => ['PXAT', v.unixMilliseconds()],
  ];
}

function setOptions(v: Vocabulary): (() => Word[])[] {
  return [
    ...expiryOptions(v),
    () => ['NX'],
    () => ['XX'],
    () => ['GET'],
    () => ['GET'],
    () => ['KEEPTTL'],
    () => [v.pick(['BOGUS', 'EX', 'PX', 'PERSIST', 'EXAT'])],
  ];
}

function pairs(v: Vocabulary): Word[] {
  const words: Word[] = [];
  for (let i = v.between(1, 4); i > 0; i--) words.push(v.key(), v.value());
  if (v.chance(0.05)) words.pop();
  return words;
}

export const strings: Family = {
  name: 'strings',
  commands: [
    [12, (v) => ['SET', v.key(), v.value()]],
    [8, (v) => ['SET', v.key(), v.value(), ...v.options(4, setOptions(v))]],
    [8, (v) => ['GET', v.key()]],
    [3, (v) => ['GETSET', v.key(), v.value()]],
    [3, (v) => ['GETDEL', v.key()]],
    [
      5,
      (v) => [
        'GETEX',
        v.key(),
        ...v.options(2, [...expiryOptions(v), () => ['PERSIST'], () => ['PERSIST'], () => ['BOGUS']]),
      ],
    ],
    [3, (v) => ['SETNX', v.key(), v.value()]],
    [3, (v) => ['SETEX', v.key(), v.seconds(), v.value()]],
    [3, (v) => ['PSETEX', v.key(), v.milliseconds(), v.value()]],
    [5, (v) => ['APPEND', v.key(), v.value()]],
    [4, (v) => ['STRLEN', v.key()]],
    [5, (v) => ['SETRANGE', v.key(), v.chance(0.7) ? String(v.below(80)) : v.offset(), v.value()]],
    [5, (v) => ['GETRANGE', v.key(), v.offset(), v.offset()]],
    [2, (v) => ['SUBSTR', v.key(), v.offset(), v.offset()]],
    [5, (v) => ['INCR', v.key()]],
    [4, (v) => ['DECR', v.key()]],
    [6, (v) => ['INCRBY', v.key(), v.integerOrNot()]],
    [5, (v) => ['DECRBY', v.key(), v.integerOrNot()]],
    [7, (v) => ['INCRBYFLOAT', v.key(), v.floatOrNot()]],
    [4, (v) => ['MGET', ...v.keys(6)]],
    [4, (v) => ['MSET', ...pairs(v)]],
    [3, (v) => ['MSETNX', ...pairs(v)]],
    [
      4,
      (v) => [
        'LCS',
        v.key(),
        v.key(),
        ...v.options(3, [
          () => ['LEN'],
          () => ['IDX'],
          () => ['IDX'],
          () => ['MINMATCHLEN', v.chance(0.7) ? String(v.below(5)) : v.integerOrNot()],
          () => ['WITHMATCHLEN'],
          () => ['BOGUS'],
        ]),
      ],
    ],
  ],
  shortLived: [
    (v) => ['SET', v.key(), v.value(), 'PX', '1'],
    (v) => ['PSETEX', v.key(), '1', v.value()],
    (v) => ['GETEX', v.key(), 'PX', '2'],
  ],
};
