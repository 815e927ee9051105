/** Commands on streams, their groups and consumers. Ids are given, never taken from the clock. */

import type { CommandMaker, Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

const STRANGE_IDS: readonly string[] = [
  '0',
  '0-0',
  '0-1',
  '-',
  '+',
  '$',
  '>',
  '',
  'abc',
  '1-',
  '-1',
  '5--05',
  '5--5',
  ' 5-1',
  '+5-+1',
  '007-01',
  '1-2-3',
  '5-abc',
  '1.5-1',
  '18446744073709551615-18446744073709551615',
  '18446744073709551615',
  '18446744073709551615-0',
  '18446744073709551616-0',
  '9223372036854775807-5',
  '9007199254740993-9007199254740995',
  '5-18446744073709551615',
];

const FIELDS: readonly string[] = [
  'f',
  'g',
  'field',
  'temperature',
  '12',
  '-5',
  '',
  '70000',
  'a longer name of a field',
];

function key(v: Vocabulary): Word {
  return v.chance(0.85) ? v.pick(['s1', 's2', '{s}3', 'st:4']) : v.key();
}

function group(v: Vocabulary): string {
  return v.chance(0.9) ? v.pick(['g1', 'g2']) : v.pick(['g3', '', 'G1', 'a group\r\n']);
}

function consumer(v: Vocabulary): string {
  return v.chance(0.9) ? v.pick(['c1', 'c2', 'c3']) : v.pick(['', 'alice', 'C1']);
}

/** An id that may well be there. */
function id(v: Vocabulary): string {
  const dice = v.below(20);
  if (dice < 13) return `${v.between(1, 30)}-${v.below(6)}`;
  if (dice < 17) return String(v.between(1, 30));
  return dice < 18 ? `${v.between(1, 5)}00-${v.below(3)}` : v.pick(STRANGE_IDS);
}

/** An id for a new entry: often one that can be. */
function newId(v: Vocabulary): string {
  const dice = v.below(20);
  if (dice < 12) return `${v.between(1, 30)}-*`;
  if (dice < 16) return `${v.between(1, 30)}-${v.below(6)}`;
  if (dice < 18) return `${v.between(1, 5)}00-*`;
  return id(v);
}

function ids(v: Vocabulary, most: number): string[] {
  return Array.from({ length: v.between(1, most) }, () => id(v));
}

function limit(v: Vocabulary, isEnd: boolean): string {
  const dice = v.below(10);
  if (dice < 4) return isEnd ? '+' : '-';
  return (dice === 4 ? '(' : '') + id(v);
}

function shortValue(v: Vocabulary): Word {
  const value = v.value();
  return value.length > 300 ? 'long' : value;
}

function pairs(v: Vocabulary): Word[] {
  if (v.chance(0.5)) return ['f', String(v.between(-200, 70_000)), 'g', shortValue(v)];
  return Array.from({ length: v.between(1, 4) }, () => [v.pick(FIELDS), shortValue(v)]).flat();
}

function trimming(v: Vocabulary): Word[] {
  const words: Word[] = [v.spelled(v.pick(['MAXLEN', 'MINID']))];
  const by = String(words[0]).toUpperCase();
  const dice = v.below(10);
  if (dice < 4) words.push('~');
  else if (dice < 6) words.push('=');
  words.push(by === 'MAXLEN' ? (v.chance(0.9) ? String(v.below(25)) : v.integerOrNot()) : id(v));
  if (v.chance(0.2)) words.push('LIMIT', v.chance(0.8) ? String(v.below(30)) : v.integerOrNot());
  return words;
}

const add: CommandMaker = (v) => {
  const words: Word[] = ['XADD', key(v)];
  if (v.chance(0.1)) words.push(v.spelled('NOMKSTREAM'));
  if (v.chance(0.2)) words.push(...trimming(v));
  if (v.chance(0.02)) words.push('LIMIT', '5');
  return [...words, newId(v), ...pairs(v)];
};

/** Several entries at once would need a script: a field for each tells them apart. */
const addSame: CommandMaker = (v) => [
  'XADD',
  key(v),
  `${v.between(1, 30)}-*`,
  'f',
  String(v.below(200)),
  'g',
  'x',
];

const trim: CommandMaker = (v) => ['XTRIM', key(v), ...trimming(v), ...(v.chance(0.05) ? trimming(v) : [])];

const range: CommandMaker = (v) => {
  const isReverse = v.chance(0.4);
  const limits = [limit(v, isReverse), limit(v, !isReverse)];
  const count = v.chance(0.4)
    ? [v.spelled('COUNT'), v.chance(0.8) ? String(v.below(6)) : v.integerOrNot()]
    : [];
  return [isReverse ? 'XREVRANGE' : 'XRANGE', key(v), ...limits, ...count];
};

function streamsOf(v: Vocabulary, position: () => string): Word[] {
  const count = v.between(1, 3);
  const keys = Array.from({ length: count }, () => key(v));
  const positions = Array.from({ length: count }, position);
  if (v.chance(0.02)) positions.pop();
  return [v.spelled('STREAMS'), ...keys, ...positions];
}

function count(v: Vocabulary): Word[] {
  return v.chance(0.5) ? [v.spelled('COUNT'), v.chance(0.85) ? String(v.below(6)) : v.integerOrNot()] : [];
}

const read: CommandMaker = (v) => [
  'XREAD',
  ...count(v),
  ...(v.chance(0.03) ? [v.pick(['BLOCK', 'NOACK', 'GROUP']), v.pick(['-1', 'x', 'g1'])] : []),
  ...streamsOf(v, () => (v.chance(0.1) ? v.pick(['$', '>']) : id(v))),
];

const readGroup: CommandMaker = (v) => [
  'XREADGROUP',
  ...(v.chance(0.98) ? [v.spelled('GROUP'), group(v), consumer(v)] : []),
  ...count(v),
  ...(v.chance(0.2) ? [v.spelled('NOACK')] : []),
  ...streamsOf(v, () => (v.chance(0.7) ? '>' : v.chance(0.5) ? '0' : id(v))),
];

const readOne: CommandMaker = (v) => [
  'XREADGROUP',
  'GROUP',
  v.pick(['g1', 'g2']),
  consumer(v),
  ...count(v),
  'STREAMS',
  key(v),
  '>',
];

const makeGroup: CommandMaker = (v) => [
  'XGROUP',
  v.spelled('CREATE'),
  key(v),
  group(v),
  v.chance(0.3) ? '$' : v.chance(0.5) ? '0' : id(v),
  ...(v.chance(0.5) ? [v.spelled('MKSTREAM')] : []),
  ...(v.chance(0.2)
    ? [v.spelled('ENTRIESREAD'), v.chance(0.8) ? String(v.between(-2, 20)) : v.integerOrNot()]
    : []),
  ...(v.chance(0.02) ? ['BOGUS'] : []),
];

const setGroup: CommandMaker = (v) => [
  'XGROUP',
  v.spelled('SETID'),
  key(v),
  group(v),
  v.chance(0.2) ? '$' : id(v),
  ...(v.chance(0.3) ? [v.spelled('ENTRIESREAD'), String(v.between(-2, 20))] : []),
];

const otherGroup: CommandMaker = (v) => {
  switch (v.below(4)) {
    case 0:
      return ['XGROUP', v.spelled('CREATECONSUMER'), key(v), group(v), consumer(v)];
    case 1:
      return ['XGROUP', v.spelled('DELCONSUMER'), key(v), group(v), consumer(v)];
    case 2:
      return v.chance(0.3) ? ['XGROUP', v.spelled('DESTROY'), key(v), group(v)] : ['XGROUP', 'HELP'];
    default:
      return ['XGROUP', v.pick(['BOGUS', 'CREATE', 'DESTROY', 'SETID']), key(v)];
  }
};

const pending: CommandMaker = (v) => {
  if (v.chance(0.4)) return ['XPENDING', key(v), group(v)];
  const idle = v.chance(0.2) ? [v.spelled('IDLE'), v.pick(['0', '1000000000', '-1', 'x'])] : [];
  const last = v.chance(0.4) ? [consumer(v)] : [];
  return [
    'XPENDING',
    key(v),
    group(v),
    ...idle,
    limit(v, false),
    limit(v, true),
    String(v.between(-1, 10)),
    ...last,
  ];
};

/** None that an idle time could just reach while a script runs. */
function minIdle(v: Vocabulary): string {
  return v.pick(['0', '0', '0', '1000000000', '-5', 'x']);
}

const claim: CommandMaker = (v) => [
  'XCLAIM',
  key(v),
  group(v),
  consumer(v),
  minIdle(v),
  ...ids(v, 4),
  ...v.options(3, [
    () => ['FORCE'],
    () => ['FORCE'],
    () => ['JUSTID'],
    () => ['IDLE', v.pick(['0', '5000', '100000', '-1', 'x'])],
    () => ['TIME', v.pick(['1700000000000', '0', '-1', '99999999999999', 'x'])],
    () => ['RETRYCOUNT', v.chance(0.8) ? String(v.between(-1, 9)) : v.integerOrNot()],
    () => ['LASTID', id(v)],
    () => ['BOGUS'],
  ]),
];

const autoClaim: CommandMaker = (v) => [
  'XAUTOCLAIM',
  key(v),
  group(v),
  consumer(v),
  minIdle(v),
  v.chance(0.5) ? '0' : limit(v, false),
  ...v.options(2, [
    () => ['COUNT', v.pick(['1', '2', '3', '10', '0', '-1', 'x'])],
    () => ['JUSTID'],
    () => ['BOGUS'],
  ]),
];

const setId: CommandMaker = (v) => [
  'XSETID',
  key(v),
  id(v),
  ...v.options(2, [
    () => ['ENTRIESADDED', v.chance(0.8) ? String(v.between(-1, 60)) : v.integerOrNot()],
    () => ['MAXDELETEDID', id(v)],
    () => ['BOGUS'],
  ]),
];

const info: CommandMaker = (v) => {
  switch (v.below(6)) {
    case 0:
    case 1:
      return ['XINFO', v.spelled('STREAM'), key(v)];
    case 2:
      return [
        'XINFO',
        'STREAM',
        key(v),
        v.spelled('FULL'),
        ...(v.chance(0.4) ? ['COUNT', v.pick(['0', '2', '-1', 'x'])] : []),
      ];
    case 3:
      return ['XINFO', v.spelled('GROUPS'), key(v)];
    case 4:
      return ['XINFO', v.spelled('CONSUMERS'), key(v), group(v)];
    default:
      return ['XINFO', v.pick(['HELP', 'BOGUS', 'STREAM', 'GROUPS'])];
  }
};

/** With less than two KiB for a node, Redis 7.0 has nodes grow, and now and then writes to memory that it has freed. */
const settings: CommandMaker = (v) =>
  v.chance(0.6)
    ? ['CONFIG', 'SET', 'stream-node-max-entries', v.pick(['0', '1', '3', '10', '100'])]
    : ['CONFIG', 'SET', 'stream-node-max-bytes', v.pick(['2000', '4096'])];

const others: CommandMaker = (v) => {
  switch (v.below(8)) {
    case 0:
      return ['DEL', key(v)];
    case 1:
      return ['TYPE', key(v)];
    case 2:
      return ['OBJECT', 'ENCODING', key(v)];
    case 3:
      return ['COPY', key(v), key(v), ...(v.chance(0.5) ? ['REPLACE'] : [])];
    case 4:
      return ['RENAME', key(v), key(v)];
    case 5:
      return ['DEBUG', 'DIGEST-VALUE', key(v)];
    case 6:
      return ['MEMORY', 'USAGE', key(v)];
    default:
      return ['EXPIRE', key(v), '1000'];
  }
};

export const streams: Family = {
  name: 'streams',
  commands: [
    [12, add],
    [10, addSame],
    [4, trim],
    [6, range],
    [2, (v) => ['XLEN', key(v)]],
    [4, (v) => ['XDEL', key(v), ...ids(v, 4)]],
    [2, setId],
    [4, read],
    [6, readGroup],
    [6, readOne],
    [5, makeGroup],
    [2, setGroup],
    [2, otherGroup],
    [4, (v) => ['XACK', key(v), group(v), ...ids(v, 4)]],
    [5, pending],
    [5, claim],
    [4, autoClaim],
    [6, info],
    [1, settings],
    [2, others],
  ],
};
