/** HyperLogLogs: every byte of them, in both forms and damaged ones, since files and other servers read them. */

import { Buffer } from 'node:buffer';
import type { Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

function key(v: Vocabulary): Word {
  return v.chance(0.9) ? v.pick(['h1', 'h2', 'h3', '{h}4', 'h5']) : v.key();
}

/**
 * Keys whose values are damaged. Of several elements that are added to one, Redis keeps those before the first that meets
 * the damage, although it replies with an error; here they get one at a time.
 */
function damagedKey(v: Vocabulary): Word {
  return v.pick(['d1', 'd2', '{h}d']);
}

function anyKey(v: Vocabulary): Word {
  return v.chance(0.15) ? damagedKey(v) : key(v);
}

function element(v: Vocabulary): Word {
  return v.chance(0.8) ? `element:${v.below(50_000)}` : v.value();
}

function elements(v: Vocabulary, most: number): Word[] {
  return Array.from({ length: v.below(most + 1) }, () => element(v));
}

function sourceKeys(v: Vocabulary): Word[] {
  return Array.from({ length: v.below(5) }, () => anyKey(v));
}

/** Few bytes for the header or the runs. */
function damage(v: Vocabulary): Word {
  return v.chance(0.3)
    ? v.pick(['HYLL', '\0', '\x01', 'x', '\xff'])
    : Buffer.from(Array.from({ length: v.between(1, 4) }, () => v.below(256)));
}

export const hyperLogLogs: Family = {
  name: 'hyperloglogs',
  commands: [
    [24, (v) => ['PFADD', key(v), ...elements(v, 4)]],
    [8, (v) => ['PFADD', key(v), ...elements(v, 200)]],
    [2, (v) => ['PFADD', key(v), ...Array.from({ length: 1000 }, () => element(v))]],
    [4, (v) => ['PFADD', damagedKey(v), element(v)]],
    [14, (v) => ['PFCOUNT', anyKey(v)]],
    [6, (v) => ['PFCOUNT', key(v), ...sourceKeys(v)]],
    [10, (v) => ['PFMERGE', key(v), ...sourceKeys(v)]],
    [1, (v) => ['PFMERGE', damagedKey(v), ...sourceKeys(v)]],
    [14, (v) => ['GET', anyKey(v)]],
    [2, (v) => ['PFDEBUG', v.spelled(v.pick(['GETREG', 'TODENSE'])), anyKey(v)]],
    [5, (v) => ['PFDEBUG', v.spelled(v.pick(['DECODE', 'ENCODING', 'DECODE', 'BOGUS'])), anyKey(v)]],
    [
      3,
      (v) => ['CONFIG', 'SET', 'hll-sparse-max-bytes', v.pick(['0', '30', '100', '1000', '3000', '20000'])],
    ],
    [2, (v) => ['SETRANGE', damagedKey(v), String(v.below(v.chance(0.5) ? 20 : 60)), damage(v)]],
    [1, (v) => ['APPEND', damagedKey(v), damage(v)]],
    [3, (v) => ['DEL', key(v)]],
    [1, (v) => ['COPY', key(v), key(v), 'REPLACE']],
    [3, (v) => ['COPY', key(v), damagedKey(v), 'REPLACE']],
    [1, (v) => ['EXPIRE', key(v), v.seconds()]],
    [1, (v) => ['TTL', key(v)]],
    [2, (v) => ['OBJECT', 'ENCODING', key(v)]],
    [1, (v) => ['DEBUG', 'DIGEST-VALUE', key(v)]],
    [1, (v) => ['SET', key(v), v.value()]],
    [1, (v) => ['RPUSH', key(v), v.value()]],
  ],
};
