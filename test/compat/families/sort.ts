/** SORT of lists, sets and sorted sets, by themselves and by the values of other keys. */

import { Buffer } from 'node:buffer';
import type { Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

const ITEMS = ['1', '2', '3', '10', '20', '-1', 'a', 'b', 'aa', '1.5', ''];

function item(v: Vocabulary): Word {
  if (v.chance(0.02)) {
    const value = Buffer.from(v.value() as string);
    // Texts that differ behind a zero byte are equal to SORT, and members in no order. A number that strtod finds
    // too large or too small spoils numbers after it in Redis.
    if (!value.includes(0) && !/e[+-]?\d{4}/.test(value.toString('latin1'))) return value;
  }
  return v.chance(0.8) ? String(v.below(30)) : v.pick(ITEMS);
}

function items(v: Vocabulary): Word[] {
  return Array.from({ length: v.between(1, v.chance(0.1) ? 100 : 10) }, () => item(v));
}

/** The sorted sets are for this family alone: Redis makes one a skip list by sorting it. */
function source(v: Vocabulary): Word {
  return v.pick(['sl1', 'sl2', 'sl3', 'ss1', 'ss2', 'sz1', 'sz2', 'none', 'w_1']);
}

function weight(v: Vocabulary): Word {
  const dice = v.below(20);
  // None so large or small that strtod complains: Redis then takes later numbers for bad ones, too.
  if (dice === 0)
    return v.pick(['1.5', '-0', 'inf', 'nan', 'x', '1x', '', '0x10', ' 3', '3 ', '1e3', '-.5e1']);
  if (dice < 4) return String(v.between(-500, 500) / 100);
  return String(v.below(40));
}

function pattern(v: Vocabulary): Word {
  return v.pick([
    'w_*',
    'w_*',
    'v_*',
    '{x}*w',
    'nothing_*',
    '*',
    'w_1',
    '#',
    'w_*->',
    'h_*->f',
    'h_*->',
    '**',
  ]);
}

function limit(v: Vocabulary): Word[] {
  const bound = () => (v.chance(0.9) ? String(v.between(-2, 12)) : v.integerOrNot());
  return ['LIMIT', bound(), bound()];
}

function sortCommand(v: Vocabulary): Word[] {
  const name = v.chance(0.2) ? 'SORT_RO' : 'SORT';
  const key = source(v);
  const words: Word[] = [];
  const isAlphabetic = v.chance(0.4);
  const by = v.chance(0.4) ? pattern(v) : null;
  const isUnsorted = by !== null && !String(by).includes('*');
  // Not defined: the order of an unsorted set, of its members of equal weight as texts, and that with a limit.
  const mayLimit = !(isAlphabetic && by !== null);
  const isDefined = !(
    (String(key).startsWith('ss') && isUnsorted) ||
    (!String(key).startsWith('sl') && isAlphabetic)
  );
  if (by !== null && isDefined) words.push(v.spelled('BY'), by);
  if (isAlphabetic) words.push(v.spelled('ALPHA'));
  if (mayLimit && v.chance(0.3)) words.push(...limit(v));
  for (let gets = v.chance(0.3) ? v.between(1, 3) : 0; gets > 0; gets--)
    words.push(v.spelled('GET'), pattern(v));
  if (v.chance(0.4)) words.push(v.pick(['ASC', 'DESC', 'desc']));
  if (v.chance(0.25)) words.push(v.spelled('STORE'), v.pick(['sl1', 'sl3', 'w_2', 'stored']));
  if (v.chance(0.03)) words.push(v.pick(['BOGUS', 'BY', 'GET', 'LIMIT', 'STORE']));
  return [name, key, ...words];
}

export const sort: Family = {
  name: 'sort',
  commands: [
    [30, sortCommand],
    [4, (v) => ['RPUSH', v.pick(['sl1', 'sl2', 'sl3']), ...items(v)]],
    [2, (v) => ['LPUSH', v.pick(['sl1', 'sl2', 'sl3']), ...items(v)]],
    [2, (v) => ['SADD', v.pick(['ss1', 'ss2']), ...items(v)]],
    [3, (v) => ['ZADD', v.pick(['sz1', 'sz2']), ...items(v).flatMap((word) => [String(v.below(9)), word])]],
    [1, (v) => ['ZREM', v.pick(['sz1', 'sz2']), ...items(v)]],
    [1, (v) => ['SREM', v.pick(['ss1', 'ss2']), ...items(v)]],
    [2, (v) => ['LTRIM', v.pick(['sl1', 'sl2', 'sl3']), '0', '8']],
    [1, (v) => ['DEL', source(v)]],
    [
      8,
      (v) => {
        const words: Word[] = ['MSET'];
        for (let pairs = v.between(1, 8); pairs > 0; pairs--) {
          words.push(
            v.pick([`w_${String(item(v))}`, `v_${String(item(v))}`, `{x}${String(item(v))}w`]),
            weight(v),
          );
        }
        return words;
      },
    ],
    [4, (v) => ['HSET', `h_${String(item(v))}`, v.pick(['f', '']), weight(v)]],
    [1, (v) => ['HDEL', `h_${String(item(v))}`, 'f']],
    [2, (v) => ['LRANGE', v.pick(['stored', 'sl1', 'w_2']), '0', '-1']],
    [1, (v) => ['EXPIRE', `w_${String(item(v))}`, v.seconds()]],
  ],
  shortLived: [(v) => ['SET', `w_${String(v.below(10))}`, '5', 'PX', '1']],
};
