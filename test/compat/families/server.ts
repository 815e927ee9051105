/** Commands on the server: what their replies share with Redis whatever state it is in. */

import type { Family } from '../family.js';

export const server: Family = {
  name: 'server',
  commands: [
    [2, () => ['TIME']],
    [1, () => ['LASTSAVE']],
    [2, () => ['DBSIZE']],
    [1, () => ['ROLE']],
    [3, (v) => ['SET', v.key(), v.value()]],
    [
      2,
      (v) => [
        'MEMORY',
        'USAGE',
        v.key(),
        ...v.pick([[], ['SAMPLES', '5'], ['SAMPLES', '-1'], ['SAMPLES'], ['BOGUS', '1']]),
      ],
    ],
    [1, (v) => ['MEMORY', v.pick(['BOGUS', 'USAGE', 'PURGE'])]],
    [
      1,
      (v) => [
        'SLOWLOG',
        ...v.pick([['GET', '0'], ['GET', '-2'], ['GET', 'x'], ['RESET'], ['BOGUS'], ['LEN', 'x'], []]),
      ],
    ],
    [
      1,
      (v) => [
        'LATENCY',
        ...v.pick([
          ['LATEST'],
          ['HISTORY', 'nothing'],
          ['RESET'],
          ['RESET', 'x'],
          ['BOGUS'],
          ['HISTORY'],
          ['GRAPH', 'nothing'],
        ]),
      ],
    ],
    [
      2,
      (v) => [
        'CONFIG',
        ...v.pick([
          ['GET', 'maxmemory-policy'],
          ['GET', 'MAXMEMORY-samples'],
          ['GET', 'nosuch'],
          ['GET', 'timeout', 'databases'],
          ['GET', 'hz'],
          ['GET'],
          ['SET', 'nosuch', '1'],
          ['SET', 'maxmemory', 'x'],
          ['SET', 'maxmemory-policy', 'bogus'],
          ['SET', 'timeout', '-1'],
          ['SET', 'maxmemory-samples', '0'],
          ['SET', 'timeout', '0', 'timeout', '0'],
          ['SET', 'timeout', '0', 'nosuch', '0'],
          ['SET', 'databases', '3'],
          ['SET', 'timeout'],
          ['SET', 'hz', '10'],
          ['RESETSTAT'],
          ['RESETSTAT', 'x'],
          ['BOGUS'],
        ]),
      ],
    ],
    [
      3,
      (v) => [
        'COMMAND',
        v.pick(['GETKEYS', 'GETKEYSANDFLAGS']),
        ...v.pick([
          ['GET', 'a'],
          ['SET', 'a', 'b'],
          ['SET', 'a', 'b', 'GET'],
          ['MSET', 'a', '1', 'b', '2'],
          ['MGET', 'a', 'b', 'c'],
          ['BITOP', 'AND', 'd', 'a', 'b'],
          ['BITFIELD', 'a', 'GET', 'u8', '0'],
          ['COPY', 'a', 'b'],
          ['LCS', 'a', 'b'],
          ['OBJECT', 'ENCODING', 'a'],
          ['MEMORY', 'USAGE', 'a'],
          ['GETEX', 'a', 'EX'],
          ['SET', 'a'],
          ['MSET', 'a'],
          ['BITFIELD', 'a', 'GET', 'u8', '0', 'SET', 'u8', '0', '1'],
          ['PING'],
          ['GET'],
          ['NOSUCH', 'x'],
          [],
        ]),
      ],
    ],
    [
      1,
      (v) => [
        'DEBUG',
        ...v.pick([['SLEEP', '0'], ['BOGUS'], ['JMAP', 'x'], []]),
      ],
    ],
    [
      1,
      (v) => [
        'LOLWUT',
        ...v.pick([
          ['VERSION', '4'],
          ['VERSION', '-1', 'x'],
          ['VERSION', 'x'],
          ['VERSION', '5', 'x'],
        ]),
      ],
    ],
    [1, (v) => [v.pick(['MEMORY', 'OBJECT', 'COMMAND', 'DEBUG']), 'HELP', 'x']],
    [1, (v) => ['MODULE', ...v.pick([['LIST'], ['LIST', 'x'], ['BOGUS'], ['HELP', 'x'], []])]],
    [
      2,
      (v) => [
        'COMMAND',
        ...v.pick([
          ['INFO', 'get', 'nosuch', 'config|get'],
          ['INFO', 'GET|x'],
          ['DOCS', 'nosuch'],
          ['LIST', 'FILTERBY', 'PATTERN', 'PSETE*'],
          ['LIST', 'FILTERBY', 'ACLCAT', 'bogus'],
          ['LIST', 'FILTERBY', 'MODULE', 'bogus'],
          ['LIST', 'FILTERBY', 'BOGUS', 'x'],
          ['LIST', 'x'],
          ['COUNT', 'x'],
          ['HELP'],
          ['HELP', 'x'],
        ]),
      ],
    ],
    [0.5, (v) => ['SHUTDOWN', v.pick(['BOGUS', 'ABORT'])]],
    [0.5, (v) => ['FLUSHALL', v.pick(['BOGUS', 'SYNC', 'ASYNC'])]],
  ],
};
