/** What `npm run bench` measures, and what is to be reached. */

import { createHash } from 'node:crypto';
import { addJobs, doJobs, takeJobs } from './bullmq-load.js';
import { consumeGroup } from './consumer-load.js';
import { keyName } from './load.js';
import { type Audience, publish } from './message-load.js';
import { handOver, type Queue, runQueue } from './queue-load.js';
import { SCRIPT_ARGUMENTS, SCRIPTS } from './scripts.js';
import type { Target } from './table.js';
import { runTransactions } from './transaction-load.js';

/** One round with one server. */
export interface Sample {
  requestsPerSecond: number;
  cpuMicroseconds: number;
  p50Ms: number;
  p99Ms: number;
  p999Ms: number;
}

export type Pipeline = 1 | 4 | 16 | 64;

export interface Workload {
  name: string;
  /** The arguments of redis-benchmark that say what to send: `-t` and a test of its own, or a command. */
  load: readonly string[];
  /** The same for as many requests, sent before each round and not measured. */
  fill?: readonly string[];
  /** Commands sent once before the first round. */
  before?: readonly (readonly string[])[];
  /** Sent once before the first round, by redis-benchmark: arguments, and how many requests. */
  prepare?: { readonly load: readonly string[]; readonly requests: number };
  /** How many requests show how fast a server is, if they are much slower or faster than others. */
  calibrationRequests?: number;
  /** Sent by a client that stays for all rounds, and reads what it gets. */
  listen?: readonly (readonly string[])[];
  /** Instead of redis-benchmark: serves as many requests and measures that. */
  drive?: (port: number, requests: number, cpuSeconds: () => number) => Promise<Sample>;
  pipeline: Pipeline;
  /** `__rand_int__` is below this. */
  range: number;
  /** Worker threads of Damselfly; null: as on the command line. */
  threads: number | null;
  /** How many of them are active; as many as the load needs if it is not given. */
  activeWorkers?: number;
  /** Length of redis-benchmark's values; 3 if it is not given. */
  valueBytes?: number;
  /** What both servers are started with. */
  directives?: Readonly<Record<string, string>>;
  /** Limits for Damselfly ÷ Redis. */
  targets: Partial<Record<keyof Sample, Target>>;
}

export const KEYS = 1_000_000;

const stringWorkloads: readonly Workload[] = (['set', 'get'] as const).flatMap((command): Workload[] => {
  const common = { load: ['-t', command], range: KEYS, threads: null };
  return [
    {
      ...common,
      name: `${command}64`,
      pipeline: 64,
      targets: { requestsPerSecond: { limit: 1.5, atLeast: true }, cpuMicroseconds: { limit: 0.6 } },
    },
    { ...common, name: `${command}16`, pipeline: 16, targets: { cpuMicroseconds: { limit: 0.75 } } },
    { ...common, name: `${command}1`, pipeline: 1, targets: { cpuMicroseconds: { limit: 1.2 } } },
    { ...common, name: `${command}1t1`, pipeline: 1, threads: 1, targets: { p99Ms: { limit: 1.2 } } },
  ];
});

/** Of redis-benchmark's random numbers in keys and members. */
const ELEMENTS = 100_000;

function onCollections(
  limit: number,
  name: string,
  load: string,
  more: { fill?: string; before?: readonly (readonly string[])[] } = {},
): Workload {
  return {
    name,
    load: load.split(' '),
    ...(more.fill === undefined ? {} : { fill: more.fill.split(' ') }),
    ...(more.before === undefined ? {} : { before: more.before }),
    pipeline: 16,
    range: ELEMENTS,
    threads: null,
    targets: { cpuMicroseconds: { limit } },
  };
}

function numbered(count: number, element: (index: number) => string[]): string[] {
  return Array.from({ length: count }, (_, index) => element(index)).flat();
}

const LIST = [
  ['DEL', 'list'],
  ['RPUSH', 'list', ...numbered(1000, (index) => [`element ${index}`])],
];
const FILL_BOARD = 'ZADD board __rand_int__ member:__rand_int__';

const collectionWorkloads: readonly Workload[] = [
  onCollections(0.85, 'lpush', '-t lpush'),
  onCollections(0.85, 'rpush', '-t rpush'),
  onCollections(0.85, 'lpop', '-t lpop', { fill: '-t lpush' }),
  onCollections(0.85, 'rpop', '-t rpop', { fill: '-t lpush' }),
  onCollections(0.85, 'sadd', 'SADD set:__rand_int__ member:__rand_int__'),
  onCollections(0.85, 'spop', 'SPOP set:__rand_int__', { fill: 'SADD set:__rand_int__ member:__rand_int__' }),
  onCollections(0.85, 'hset', 'HSET hash:__rand_int__ field:__rand_int__ value'),
  onCollections(0.85, 'hget', 'HGET profiles field:__rand_int__', {
    fill: 'HSET profiles field:__rand_int__ value',
  }),
  onCollections(0.85, 'zadd', FILL_BOARD),
  onCollections(0.85, 'zscore', 'ZSCORE board member:__rand_int__', { fill: FILL_BOARD }),
  onCollections(0.85, 'zrank', 'ZRANK board member:__rand_int__', { fill: FILL_BOARD }),
  {
    // As many members as requests, or most would find nothing.
    ...onCollections(0.85, 'zpopmin', 'ZPOPMIN queue', {
      fill: 'ZADD queue __rand_int__ member:__rand_int__',
    }),
    range: 1_000_000_000,
  },
  onCollections(1, 'lrange100', 'LRANGE list 0 99', { before: LIST }),
  onCollections(1, 'lrange600', 'LRANGE list 0 599', { before: LIST }),
  onCollections(1, 'zrange100', 'ZRANGE ranking 0 99', {
    before: [['ZADD', 'ranking', ...numbered(1000, (index) => [String(index), `member ${index}`])]],
  }),
  onCollections(1, 'hgetall50', 'HGETALL profile', {
    before: [['HSET', 'profile', ...numbered(50, (index) => [`field ${index}`, `value ${index}`])]],
  }),
  onCollections(1, 'smembers100', 'SMEMBERS tags', {
    before: [['SADD', 'tags', ...numbered(100, (index) => [`member ${index}`])]],
  }),
];

const LARGE_MEMBERS = 5_000_000;
const LARGE_BOARD = 'ZADD large __rand_int__ member:__rand_int__';

/** On a sorted set of some five million members: of ever more random ones, 1 - 1/e³ are there after three times as many. */
const largeWorkloads: readonly Workload[] = (
  [
    ['zadd5m', LARGE_BOARD],
    ['zrank5m', 'ZRANK large member:__rand_int__'],
  ] as const
).map(([name, load]) => ({
  ...onCollections(0.9, name, load),
  prepare: { load: LARGE_BOARD.split(' '), requests: 3 * LARGE_MEMBERS },
  range: LARGE_MEMBERS,
}));

const SKETCHES = numbered(10, (index) => [`sketch:${index}`]);
/** Enough to make a HyperLogLog dense. */
const ELEMENTS_OF_SKETCH = 5000;

/** Numbers in coordinates are below 85 degrees: eight digits behind the point, and two before it. */
const PLACES = 850_000_000;
const PLACE = '__rand_int__e-7 __rand_int__e-7';
/** A million places. */
const FILLED_MAP = { load: `GEOADD map ${PLACE} place:__rand_int__`.split(' '), requests: 1_000_000 };

const typeWorkloads: readonly Workload[] = [
  { ...onCollections(0.8, 'pfadd', 'PFADD visitors __rand_int__'), range: 1_000_000_000 },
  onCollections(0.8, 'pfcount', 'PFCOUNT visitors', { fill: 'PFADD visitors __rand_int__' }),
  onCollections(0.7, 'pfmerge10', `PFMERGE merged ${SKETCHES.join(' ')}`, {
    before: SKETCHES.map((key) => [
      'PFADD',
      key,
      ...numbered(ELEMENTS_OF_SKETCH, (index) => [`${key}:${index}`]),
    ]),
  }),
  { ...onCollections(0.8, 'geoadd', `GEOADD fleet ${PLACE} vehicle:__rand_int__`), range: PLACES },
  {
    // About a hundred results.
    ...onCollections(0.8, 'geosearch100', `GEOSEARCH map FROMLONLAT ${PLACE} BYRADIUS 36 km`),
    prepare: FILLED_MAP,
    range: PLACES,
  },
  {
    ...onCollections(
      0.8,
      'geosorted100',
      `GEOSEARCH map FROMLONLAT ${PLACE} BYRADIUS 36 km ASC WITHDIST WITHCOORD`,
    ),
    prepare: FILLED_MAP,
    range: PLACES,
  },
];

const ENTRY = 'sensor sensor:__rand_int__ value __rand_int__';

const streamWorkloads: readonly Workload[] = [
  onCollections(0.7, 'xadd', `XADD events * ${ENTRY}`, { before: [['DEL', 'events']] }),
  onCollections(0.7, 'xaddmaxlen', `XADD capped MAXLEN ~ 10000 * ${ENTRY}`),
  onCollections(0.8, 'xrange100', 'XRANGE log - + COUNT 100', {
    before: [
      ['DEL', 'log'],
      ...Array.from({ length: 1000 }, (_, index) => {
        return ['XADD', 'log', `${index + 1}-0`, 'sensor', `sensor:${index}`, 'value', String(index)];
      }),
    ],
  }),
  // Per entry: it is read by a consumer of a group, and acknowledged.
  { ...onCollections(0.7, 'xreadgroup', ''), drive: consumeGroup },
];

function withJournal(
  appendFsync: string,
  pipeline: Pipeline,
  threads: number | null,
  targets: Workload['targets'],
): Workload {
  return {
    name: `${appendFsync}${pipeline}${threads === null ? '' : `t${threads}`}`,
    load: ['-t', 'set'],
    range: KEYS,
    pipeline,
    threads,
    directives: { appendonly: 'yes', appendfsync: appendFsync },
    targets,
  };
}

const journalWorkloads: readonly Workload[] = [
  withJournal('everysec', 16, null, { cpuMicroseconds: { limit: 0.85 } }),
  withJournal('always', 1, null, { requestsPerSecond: { limit: 1, atLeast: true } }),
  withJournal('always', 1, 1, { requestsPerSecond: { limit: 1, atLeast: true } }),
];

/** What is to be reached with one active worker, and with two. */
type BothLimits = readonly [one: number, two: number];

const TAIL_LIMITS: BothLimits = [0.95, 1.05];

/** A workload with one active worker, and with two: `/1` and `/2`. */
function onOneAndTwo(
  [one, two]: BothLimits,
  workload: Omit<Workload, 'threads' | 'activeWorkers' | 'targets'>,
): Workload[] {
  return [1, 2].map((activeWorkers) => {
    const index = activeWorkers - 1;
    const tail = { limit: TAIL_LIMITS[index]! };
    return {
      ...workload,
      name: `${workload.name}/${activeWorkers}`,
      threads: activeWorkers,
      activeWorkers,
      targets: { cpuMicroseconds: { limit: [one, two][index]! }, p50Ms: tail, p99Ms: tail },
    };
  });
}

const KIB = 1024;
/** All values of a size take about so much together. */
const VALUES_BYTES = 128 * KIB * KIB;

function ofValues(limits: BothLimits, name: string, valueBytes: number, load: readonly string[]): Workload[] {
  const range = Math.max(50, Math.floor(VALUES_BYTES / valueBytes));
  // After five times as many as there are keys, hardly one is missing.
  const prepare = { load: ['-t', 'set'], requests: 5 * range };
  return onOneAndTwo(limits, { name, load, prepare, range, valueBytes, pipeline: 1 });
}

const KEY = 'key:__rand_int__';

const valueWorkloads: readonly Workload[] = [
  ...(
    [
      [4, [0.75, 0.9]],
      [16, [0.8, 0.9]],
      [64, [0.9, 1]],
      [1024, [0.9, 1]],
    ] as const
  ).flatMap(([kibibytes, limits]) => [
    ...ofValues(limits, `set${kibibytes}k`, kibibytes * KIB, ['-t', 'set']),
    ...ofValues(limits, `get${kibibytes}k`, kibibytes * KIB, ['-t', 'get']),
  ]),
  // Of values of 64 KiB. What is appended to is set anew before each round.
  ...ofValues([0.9, 1], 'setrange16k', 64 * KIB, ['SETRANGE', KEY, '1000', 'x'.repeat(16 * KIB)]),
  ...ofValues([0.9, 1], 'getrange16k', 64 * KIB, ['GETRANGE', KEY, '1000', String(1000 + 16 * KIB - 1)]),
  ...ofValues([0.9, 1], 'append16k', 64 * KIB, ['APPEND', KEY, 'x'.repeat(16 * KIB)]).map((workload) => ({
    ...workload,
    fill: ['-t', 'set'],
  })),
  ...ofValues([0.9, 1], 'hset16k', 16 * KIB, ['HSET', 'hash:__rand_int__', 'field', 'x'.repeat(16 * KIB)]),
  ...ofValues([0.9, 1], 'lpush16k', 16 * KIB, ['LPUSH', 'list:__rand_int__', 'x'.repeat(16 * KIB)]).map(
    (workload) => ({ ...workload, fill: ['DEL', 'list:__rand_int__'] }),
  ),
];

const FEW_KEYS_LIMITS: BothLimits = [0.75, 0.85];
const pairs = (count: number) => numbered(count, () => [KEY, 'xxx']);
const keys = (count: number) => numbered(count, () => [KEY]);
const SOURCES = numbered(3, (index) => [`source:${index}`]);

function ofManyKeys(name: string, pipeline: Pipeline, load: readonly string[], more: Partial<Workload> = {}) {
  return onOneAndTwo(FEW_KEYS_LIMITS, { name, load, pipeline, range: KEYS, ...more });
}

const manyKeyWorkloads: readonly Workload[] = [
  ...ofManyKeys('mset10', 4, ['MSET', ...pairs(10)]),
  ...ofManyKeys('mget10', 4, ['MGET', ...keys(10)]),
  ...ofManyKeys('mset100', 1, ['MSET', ...pairs(100)]),
  ...ofManyKeys('mget100', 1, ['MGET', ...keys(100)]),
  ...ofManyKeys('del10', 4, ['DEL', ...keys(10)], { fill: ['MSET', ...pairs(10)] }),
  ...ofManyKeys('sinter3', 4, ['SINTER', ...SOURCES], {
    before: SOURCES.flatMap((key, index) => [
      ['DEL', key],
      ['SADD', key, ...numbered(100, (member) => [`member:${member * (index + 1)}`])],
    ]),
  }),
  ...ofManyKeys('zunionstore3', 4, ['ZUNIONSTORE', 'union:__rand_int__', '3', ...SOURCES], {
    range: 1000,
    before: SOURCES.flatMap((key, index) => [
      ['DEL', key],
      ['ZADD', key, ...numbered(100, (member) => [String(member), `member:${member * (index + 1)}`])],
    ]),
  }),
  ...ofManyKeys('multi5', 1, [], { drive: runTransactions }),
];

const latencyWorkloads: readonly Workload[] = [
  ...onOneAndTwo([0.7, 0.85], { name: 'set', load: ['-t', 'set'], pipeline: 1, range: KEYS }),
  ...onOneAndTwo([0.7, 0.85], { name: 'get', load: ['-t', 'get'], pipeline: 1, range: KEYS }),
  ...onOneAndTwo([0.9, 1], { name: 'hotincr', load: ['INCR', 'counter'], pipeline: 16, range: 1 }),
  ...onOneAndTwo([0.9, 1], { name: 'hotget', load: ['GET', 'counter'], pipeline: 16, range: 1 }),
];

/** Until the code of a path has been compiled for good, which takes some ten thousand calls. */
const WARM_ELEMENTS = 150_000;
/** One at a time, with a pause before each: for more there is no time. */
const WARM_HAND_OVERS = 10_000;

function driven(
  name: string,
  drive: NonNullable<Workload['drive']>,
  targets: Workload['targets'],
  more: Partial<Workload> = {},
): Workload {
  return { name, load: [], drive, pipeline: 1, range: 1, threads: null, targets, ...more };
}

function throughQueue(name: string, limit: number, queue: Queue): Workload {
  const drive: Workload['drive'] = (port, requests, cpuSeconds) =>
    runQueue(queue, port, requests, cpuSeconds);
  const more = { before: [['FLUSHALL']], calibrationRequests: WARM_ELEMENTS };
  return driven(name, drive, { cpuMicroseconds: { limit } }, more);
}

function toAudience(name: string, audience: Audience): Workload {
  const drive: Workload['drive'] = (port, requests, cpuSeconds) =>
    publish(audience, port, requests, cpuSeconds);
  return driven(name, drive, { cpuMicroseconds: { limit: 0.6 } }, { pipeline: 16 });
}

/** An element as long as a job of Sidekiq or Celery. */
const JOB = 'x'.repeat(400);
const SIDEKIQ_QUEUES = Array.from({ length: 8 }, (_, index) => `queue:${index}`);
/** As Celery names the queues of its four priorities. */
const CELERY_QUEUES = ['celery', 'celery\x06\x163', 'celery\x06\x166', 'celery\x06\x169'];
const HAND_OVER_LIMITS: BothLimits = [1.1, 1.5];
const ON_SETS = { load: ['-t', 'set'], pipeline: 16, range: KEYS, threads: null } as const;

function listsOf(names: readonly string[], timeoutSeconds: number) {
  return {
    take: ['BRPOP', ...names, timeoutSeconds],
    takenLines: 5,
    give: (n: number) => ['LPUSH', names[n % names.length]!, JOB],
  };
}

const waitingWorkloads: readonly Workload[] = [
  throughQueue('brpop25', 0.9, { consumers: 25, producers: 25, ...listsOf(['queue'], 0) }),
  throughQueue('sidekiq1', 0.9, { consumers: 50, producers: 25, ...listsOf(SIDEKIQ_QUEUES.slice(0, 1), 2) }),
  throughQueue('sidekiq8', 0.9, { consumers: 50, producers: 25, ...listsOf(SIDEKIQ_QUEUES, 2) }),
  throughQueue('celery4', 0.9, { consumers: 50, producers: 25, ...listsOf(CELERY_QUEUES, 1) }),
  throughQueue('bullmqmarker', 0.9, {
    consumers: 50,
    producers: 25,
    take: ['BZPOPMIN', 'bull:queue:marker', 5],
    takenLines: 7,
    give: (n) => ['ZADD', 'bull:queue:marker', 0, n],
  }),
  ...[1, 2].map((activeWorkers): Workload => {
    const target = { limit: HAND_OVER_LIMITS[activeWorkers - 1]! };
    const more = { calibrationRequests: WARM_HAND_OVERS, threads: activeWorkers, activeWorkers };
    return driven(`handover/${activeWorkers}`, handOver, { p50Ms: target, p99Ms: target }, more);
  }),
  toAudience('publish100', { subscribers: 100, publishers: 10, pipeline: 1, messageBytes: 100 }),
  toAudience('publish100x1k', { subscribers: 100, publishers: 10, pipeline: 1, messageBytes: 1000 }),
  toAudience('publish100p16', { subscribers: 100, publishers: 1, pipeline: 16, messageBytes: 100 }),
  onCollections(0.7, 'publish0', 'PUBLISH nobody message'),
  {
    ...onCollections(0.7, 'patterns1000', 'PUBLISH channel:__rand_int__:news message'),
    listen: [['PSUBSCRIBE', ...numbered(1000, (index) => [`channel:${String(index).padStart(12, '0')}:*`])]],
    range: 1000,
  },
  {
    ...ON_SETS,
    name: 'setevents',
    before: [['CONFIG', 'SET', 'notify-keyspace-events', 'KEA']],
    targets: { cpuMicroseconds: { limit: 0.75 } },
  },
  {
    ...ON_SETS,
    name: 'settracking',
    before: [['CONFIG', 'SET', 'notify-keyspace-events', '']],
    listen: [
      ['HELLO', '3'],
      ['CLIENT', 'TRACKING', 'ON'],
      ['MGET', ...numbered(1000, (index) => [keyName(index)])],
    ],
    targets: { cpuMicroseconds: { limit: 0.75 } },
  },
];

function ofScript(
  name: string,
  limit: number,
  calibrationRequests: number,
  key = SCRIPT_ARGUMENTS[0]!,
): Workload {
  const [source] = SCRIPTS[name]!;
  const sha = createHash('sha1').update(source).digest('hex');
  return {
    ...onCollections(limit, name.replaceAll(' ', '-'), ''),
    load: ['EVALSHA', sha, '1', key, ...SCRIPT_ARGUMENTS.slice(1, source.includes('ARGV[3]') ? 4 : 3)],
    before: [
      ['SCRIPT', 'LOAD', source],
      ['SET', SCRIPT_ARGUMENTS[0]!, '1'],
    ],
    calibrationRequests,
  };
}

function ofJobs(
  name: string,
  limit: number,
  drive: NonNullable<Workload['drive']>,
  calibrationRequests: number,
): Workload {
  return driven(name, drive, { cpuMicroseconds: { limit } }, { calibrationRequests });
}

const scriptWorkloads: readonly Workload[] = [
  ofScript('return 1', 0.65, 50_000),
  ofScript('GET', 0.65, 50_000),
  ofScript('rate limiter', 0.65, 50_000, 'limit:__rand_int__'),
  ofScript('1000 GET', 0.6, 500),
  ofScript('cjson, 2 KB', 1.2, 2000),
  ofScript('cmsgpack, 2 KB', 1.2, 500),
  ofScript('fib(25)', 1.4, 50),
  ofScript('building strings', 1.4, 100),
  ofScript('sorting 10,000', 1.4, 100),
  ofJobs('addjobs', 0.7, addJobs, 40_000),
  ofJobs('takejobs', 0.7, takeJobs, 30_000),
  // Jobs done per second of the server's processor time: at least 1.3 times as many.
  ofJobs('dojobs', 1 / 1.3, doJobs, 30_000),
  ...onOneAndTwo([0.65, 0.75], {
    ...ofScript('rate limiter', 0.65, 50_000, 'limit:__rand_int__'),
    name: 'limiter',
  }),
];

/** By the name that `--suite` takes. */
export const suites: Readonly<Record<string, readonly Workload[]>> = {
  strings: stringWorkloads,
  collections: collectionWorkloads,
  large: largeWorkloads,
  types: typeWorkloads,
  streams: streamWorkloads,
  journal: journalWorkloads,
  values: valueWorkloads,
  'many-keys': manyKeyWorkloads,
  latency: latencyWorkloads,
  waiting: waitingWorkloads,
  scripts: scriptWorkloads,
};
