/** Commands on the connection itself. */

import type { Family } from '../family.js';

export const connection: Family = {
  name: 'connection',
  commands: [
    [4, () => ['PING']],
    [3, (v) => ['PING', v.value()]],
    [1, (v) => ['PING', v.value(), v.value()]],
    [4, (v) => ['ECHO', v.value()]],
    [3, (v) => ['SELECT', v.database()]],
    [4, (v) => ['HELLO', ...(v.chance(0.2) ? [] : [v.pick(['2', '3', '3', '2', '1', '4', 'x', '', '-1'])])]],
    [
      2,
      (v) => [
        'HELLO',
        v.pick(['2', '3']),
        ...v.options(2, [
          () => ['SETNAME', v.pick(['name', 'a b', '', 'n\n', 'ünicode'])],
          () => ['AUTH', 'default', 'wrong'],
          () => ['AUTH', 'nobody', 'wrong'],
          () => ['BOGUS'],
        ]),
      ],
    ],
    [1, (v) => ['AUTH', ...v.pick([['secret'], ['default', 'x'], ['nobody', 'x'], ['a', 'b', 'c']])]],
    [3, () => ['CLIENT', 'GETNAME']],
    [3, (v) => ['CLIENT', 'SETNAME', v.pick(['name', 'with space', '', 'tab\t', 'x'.repeat(100), 'é', '~'])]],
    [1, () => ['CLIENT', 'ID']],
    [1, (v) => ['CLIENT', 'REPLY', v.pick(['ON', 'on', 'BOGUS'])]],
    [1, (v) => ['CLIENT', 'NO-EVICT', v.pick(['on', 'OFF', 'BOGUS'])]],
    [
      1,
      (v) => [
        'CLIENT',
        'UNBLOCK',
        v.pick(['999999999', 'x', '']),
        ...v.pick([[], ['ERROR'], ['TIMEOUT'], ['BOGUS']]),
      ],
    ],
    [
      1,
      (v) => [
        'CLIENT',
        'KILL',
        ...v.pick([
          ['ID', '999999999'],
          ['ID', 'x'],
          ['TYPE', 'bogus'],
          ['ADDR', '1.2.3.4:5'],
          ['1.2.3.4:5'],
          ['LADDR', '1.2.3.4:5', 'SKIPME', 'yes'],
          ['SKIPME', 'bogus'],
          ['USER', 'nobody'],
          ['BOGUS', 'x'],
          ['ID'],
        ]),
      ],
    ],
    [
      1,
      (v) => [
        'CLIENT',
        'LIST',
        ...v.pick([
          ['ID', '999999999'],
          ['ID', 'x'],
          ['TYPE', 'bogus'],
          ['TYPE', 'pubsub'],
          ['BOGUS'],
          ['ID'],
        ]),
      ],
    ],
    [1, (v) => ['CLIENT', v.pick(['BOGUS', 'SETNAME', 'KILL', 'REPLY', 'ID']), ...v.pick([[], ['x', 'y']])]],
    [1, () => ['CLIENT']],
    [0.5, () => ['RESET']],
    [0.3, () => ['QUIT']],
    [2, (v) => ['SET', v.key(), v.value()]],
    [2, (v) => ['GET', v.key()]],
    [
      1,
      (v) => [
        v.pick(['nosuch', 'NOSUCH', '', 'GETT', 'x'.repeat(200), 'a b', "it's"]),
        ...v.pick([[], [v.value()], [v.value(), v.value()]]),
      ],
    ],
  ],
};
