/** Commands on sorted sets, in all encodings: the limits between them change all the time. */

import type { CommandMaker, Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

/**
 * All elements of these keys have one score: what a range by member gives from others depends, in Redis, on the
 * heights that its skip list has drawn.
 */
const SAME_SCORE_KEYS: readonly string[] = ['lex:1', 'lex:2', 'lex:3'];

const SCORES: readonly string[] = [
  '0',
  '-0',
  '1',
  '2',
  '2.5',
  '-1',
  'inf',
  '-inf',
  '+inf',
  'Infinity',
  '3.14159265358979323846',
  '1e300',
  '-1e300',
  '1e17',
  '123456789012345678',
  '1e-300',
  '0.1',
  '.5',
  '5.',
  '4503599627370497',
  '9007199254740993',
];

/** None beyond the range of doubles: it would make Redis's next SORT fail, which looks at an old errno. */
const LIMITS: readonly string[] = ['-inf', '+inf', 'inf', '(inf', '(-inf', '', '(', ' 1'];

const MEMBER_LIMITS: readonly string[] = ['-', '+', '[', '(', '', 'a', '[a\0b', '+x', '-x', '[\xff'];

function key(v: Vocabulary): Word {
  return v.chance(0.8) ? v.pick(['z1', 'z2', 'z3', '{z}4', 'big']) : v.key();
}

function sameScoreKey(v: Vocabulary): Word {
  return v.pick(SAME_SCORE_KEYS);
}

function member(v: Vocabulary): Word {
  const dice = v.below(20);
  if (dice < 12) return v.pick(['a', 'b', 'c', 'm', '']) + String(v.below(12));
  if (dice < 16) return String(v.between(-150, 150));
  return v.value();
}

function score(v: Vocabulary): Word {
  const dice = v.below(20);
  if (dice < 12) return String(v.between(-5, 12));
  if (dice < 16) return (v.between(-10_000, 10_000) / 10 ** v.between(0, 5)).toString();
  return dice < 19 ? v.pick(SCORES) : v.floatOrNot();
}

function pairs(v: Vocabulary, most: number): Word[] {
  const words: Word[] = [];
  for (let i = v.between(1, most); i > 0; i--) words.push(score(v), member(v));
  return words;
}

function rank(v: Vocabulary): Word {
  return v.chance(0.9) ? String(v.between(-12, 12)) : v.integerOrNot();
}

function scoreLimit(v: Vocabulary): Word {
  if (v.chance(0.15)) return v.pick(LIMITS);
  return v.chance(0.3) ? `(${score(v)}` : score(v);
}

function memberLimit(v: Vocabulary): Word {
  if (v.chance(0.3)) return v.pick(MEMBER_LIMITS);
  return v.pick(['[', '(']) + String(member(v));
}

function limits(v: Vocabulary): (() => Word[])[] {
  return [() => ['LIMIT', rank(v), v.chance(0.5) ? rank(v) : String(v.below(6))]];
}

function withScores(v: Vocabulary): (() => Word[])[] {
  return [...limits(v), () => ['WITHSCORES'], () => [v.pick(['BOGUS', 'LIMIT', 'REV', 'BYSCORE'])]];
}

function addOptions(v: Vocabulary): Word[] {
  return v.options(2, [
    () => ['NX'],
    () => ['XX'],
    () => ['GT'],
    () => ['LT'],
    () => ['CH'],
    () => ['CH'],
    () => ['INCR'],
  ]);
}

/** ZRANGE and ZRANGESTORE: the arguments from the source key on. */
function anyRange(v: Vocabulary, source: () => Word, options: (() => Word[])[]): Word[] {
  switch (v.below(3)) {
    case 0:
      return [source(), rank(v), rank(v), ...v.options(1, [() => ['REV'], ...options])];
    case 1:
      return [
        source(),
        scoreLimit(v),
        scoreLimit(v),
        'BYSCORE',
        ...v.options(2, [() => ['REV'], ...options]),
      ];
    default:
      return [
        sameScoreKey(v),
        memberLimit(v),
        memberLimit(v),
        'BYLEX',
        ...v.options(2, [() => ['REV'], ...limits(v), ...options]),
      ];
  }
}

function numberedKeys(v: Vocabulary, most: number): Word[] {
  const keys = Array.from({ length: v.between(1, most) }, () =>
    v.chance(0.8) ? key(v) : v.chance(0.8) ? v.pick(['s1', 's2']) : v.key(),
  );
  const dice = v.below(30);
  const count = dice === 0 ? v.integerOrNot() : String(keys.length + (dice === 1 ? 1 : dice === 2 ? -1 : 0));
  return [count, ...keys];
}

function combineOptions(v: Vocabulary, mayHaveScores: boolean): Word[] {
  return v.options(2, [
    () => ['WEIGHTS', ...Array.from({ length: v.between(1, 3) }, () => score(v))],
    () => ['WEIGHTS', '2', '-1'],
    () => ['AGGREGATE', v.pick(['SUM', 'MIN', 'MAX', 'max', 'AVG'])],
    () => [mayHaveScores || v.chance(0.1) ? 'WITHSCORES' : 'AGGREGATE', ...(mayHaveScores ? [] : ['MIN'])],
  ]);
}

const changeLimits: CommandMaker = (v) => [
  'CONFIG',
  'SET',
  ...(v.chance(0.6)
    ? ['zset-max-listpack-entries', v.pick(['0', '1', '3', '8', '30', '128'])]
    : ['zset-max-listpack-value', v.pick(['0', '2', '4', '20', '64'])]),
];

export const sortedSets: Family = {
  name: 'sorted-sets',
  commands: [
    [2, changeLimits],
    [12, (v) => ['ZADD', key(v), ...addOptions(v), ...pairs(v, 1)]],
    [10, (v) => ['ZADD', key(v), ...pairs(v, 6)]],
    [2, (v) => ['ZADD', 'big', ...pairs(v, 60)]],
    [
      6,
      (v) => [
        'ZADD',
        sameScoreKey(v),
        ...Array.from({ length: v.between(1, 8) }, () => ['0', member(v)]).flat(),
      ],
    ],
    [5, (v) => ['ZADD', key(v), ...addOptions(v), ...pairs(v, 3)]],
    [6, (v) => ['ZINCRBY', key(v), score(v), member(v)]],
    [3, (v) => ['ZCARD', key(v)]],
    [6, (v) => ['ZSCORE', key(v), member(v)]],
    [4, (v) => ['ZMSCORE', key(v), member(v), member(v)]],
    [5, (v) => ['ZRANK', key(v), member(v)]],
    [5, (v) => ['ZREVRANK', key(v), member(v)]],
    [8, (v) => ['ZREM', key(v), member(v), member(v), member(v)]],
    [3, (v) => ['ZREM', sameScoreKey(v), member(v), member(v)]],
    [5, (v) => ['ZCOUNT', key(v), scoreLimit(v), scoreLimit(v)]],
    [4, (v) => ['ZLEXCOUNT', sameScoreKey(v), memberLimit(v), memberLimit(v)]],
    [10, (v) => ['ZRANGE', ...anyRange(v, () => key(v), withScores(v))]],
    [4, (v) => ['ZREVRANGE', key(v), rank(v), rank(v), ...v.options(1, withScores(v))]],
    [5, (v) => ['ZRANGEBYSCORE', key(v), scoreLimit(v), scoreLimit(v), ...v.options(2, withScores(v))]],
    [5, (v) => ['ZREVRANGEBYSCORE', key(v), scoreLimit(v), scoreLimit(v), ...v.options(2, withScores(v))]],
    [
      4,
      (v) => ['ZRANGEBYLEX', sameScoreKey(v), memberLimit(v), memberLimit(v), ...v.options(1, withScores(v))],
    ],
    [
      4,
      (v) => [
        'ZREVRANGEBYLEX',
        sameScoreKey(v),
        memberLimit(v),
        memberLimit(v),
        ...v.options(1, withScores(v)),
      ],
    ],
    [4, (v) => ['ZRANGESTORE', key(v), ...anyRange(v, () => key(v), limits(v))]],
    [2, (v) => ['ZREMRANGEBYRANK', key(v), rank(v), rank(v)]],
    [2, (v) => ['ZREMRANGEBYSCORE', key(v), scoreLimit(v), scoreLimit(v)]],
    [2, (v) => ['ZREMRANGEBYLEX', sameScoreKey(v), memberLimit(v), memberLimit(v)]],
    [4, (v) => ['ZPOPMIN', key(v), ...(v.chance(0.5) ? [rank(v)] : [])]],
    [4, (v) => ['ZPOPMAX', key(v), ...(v.chance(0.5) ? [rank(v)] : [])]],
    [
      4,
      (v) => [
        'ZMPOP',
        ...numberedKeys(v, 3),
        v.pick(['MIN', 'MAX', 'min', 'MIDDLE']),
        ...(v.chance(0.5) ? ['COUNT', rank(v)] : []),
      ],
    ],
    [4, (v) => [v.pick(['ZUNION', 'ZINTER']), ...numberedKeys(v, 3), ...combineOptions(v, true)]],
    [
      6,
      (v) => [
        v.pick(['ZUNIONSTORE', 'ZINTERSTORE']),
        key(v),
        ...numberedKeys(v, 3),
        ...combineOptions(v, false),
      ],
    ],
    [3, (v) => ['ZDIFF', ...numberedKeys(v, 3), ...(v.chance(0.5) ? ['WITHSCORES'] : [])]],
    [3, (v) => ['ZDIFFSTORE', key(v), ...numberedKeys(v, 3), ...(v.chance(0.1) ? ['WITHSCORES'] : [])]],
    [3, (v) => ['ZINTERCARD', ...numberedKeys(v, 3), ...(v.chance(0.5) ? ['LIMIT', rank(v)] : [])]],
    [2, (v) => ['SADD', v.pick(['s1', 's2', 'z3']), member(v), member(v), member(v)]],
    [2, (v) => ['ZRANDMEMBER', key(v)]],
    [
      3,
      (v) => [
        'ZRANDMEMBER',
        key(v),
        String(v.between(-20, 20)),
        ...(v.chance(0.5) ? ['WITHSCORES'] : v.chance(0.1) ? ['BOGUS'] : []),
      ],
    ],
    [
      3,
      (v) => [
        'ZSCAN',
        key(v),
        v.chance(0.95) ? '0' : v.integerOrNot(),
        ...v.options(2, [() => ['MATCH', v.pattern()], () => ['COUNT', v.integerOrNot()], () => ['BOGUS']]),
      ],
    ],
    [4, (v) => ['OBJECT', 'ENCODING', v.chance(0.8) ? key(v) : sameScoreKey(v)]],
    [1, (v) => ['TYPE', key(v)]],
    [2, (v) => ['DEL', key(v)]],
    [1, (v) => ['DEL', sameScoreKey(v)]],
    [2, (v) => ['COPY', key(v), key(v), ...(v.chance(0.7) ? ['REPLACE'] : [])]],
    [2, (v) => ['RENAME', key(v), key(v)]],
  ],
  shortLived: [(v) => ['PEXPIRE', key(v), '1']],
};

const WRITES_ONE_SCORE = new Set(['zadd', 'zrem', 'zremrangebylex', 'del', 'expire', 'pexpire', 'object']);

/** Whether a command leaves the sorted sets of one score as they are, or keeps them so. */
export function keepsSameScores(args: readonly string[]): boolean {
  if (!args.slice(1).some((word) => word.startsWith('lex:'))) return true;
  const [name, target, ...rest] = args;
  if (name === 'zadd') return rest.every((word, index) => index % 2 === 1 || word === '0');
  if (name === 'zrangestore') return !target!.startsWith('lex:');
  if (WRITES_ONE_SCORE.has(name!)) return true;
  return /^z(rev)?range|^zlexcount|^z(score|rank|card|count|scan|mscore)$/.test(name!);
}
