/** MULTI and its companions. Mixed with other families they queue, fail and execute their commands. */

import type { Family } from '../family.js';

export const transactions: Family = {
  name: 'transactions',
  commands: [
    [8, () => ['MULTI']],
    [9, () => ['EXEC']],
    [1, () => ['DISCARD']],
    [4, (v) => ['WATCH', ...v.keys(3)]],
    [1, () => ['UNWATCH']],
    [5, (v) => ['SET', v.key(), v.value()]],
    [4, (v) => ['INCR', v.key()]],
    [4, (v) => ['GET', v.key()]],
    [3, (v) => ['DEL', v.key()]],
    [3, (v) => ['MSET', v.key(), v.value(), v.key(), v.value()]],
    [1, (v) => ['SELECT', v.database()]],
    [0.5, (v) => ['SWAPDB', v.database(), v.database()]],
    [0.3, () => ['FLUSHALL']],
    [0.5, () => ['DBSIZE']],
    [0.5, () => ['KEYS', '*']],
    [0.4, (v) => [v.pick(['MULTI', 'EXEC', 'DISCARD', 'UNWATCH']), 'extra']],
    [0.4, () => ['WATCH']],
    [0.4, (v) => ['NOSUCHCOMMAND', v.value()]],
  ],
};
