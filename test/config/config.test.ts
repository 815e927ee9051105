import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { Config } from '../../src/config/config.js';
import { directives } from '../../src/config/directives.js';
import { EvictionPolicy } from '../../src/config/keyspace-settings.js';
import { Random } from '../tools/random.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';

/** Damselfly's own directives. */
const OWN = new Set([
  'active-workers',
  'auth-timeout',
  'stream-idmp-duration',
  'tls-auth-clients-user',
  'stream-idmp-maxsize',
  'commandlog-large-reply-max-len',
  'commandlog-large-request-max-len',
  'commandlog-reply-larger-than',
  'commandlog-request-larger-than',
  'recover-until',
  'replica-full-sync-guard',
  'script-memory-limit',
  'set-max-listpack-entries',
  'set-max-listpack-value',
  'threads',
  'transport',
]);

/** Newer names of directives that redis-server knows, too. */
const NEWER_NAMES = new Set(['commandlog-execution-slower-than', 'commandlog-slow-execution-max-len']);

/** Whose values can't be compared: they name sockets and files, or depend on the machine or on hz. */
const LOCAL = new Set([
  'port',
  'tls-port',
  'bind',
  'dir',
  'maxclients',
  'oom-score-adj',
  'requirepass',
  'watchdog-period',
]);

/** Lines of redis-server's that are not compared: its users, and what its way of building adds. */
const UNWRITTEN = /^(user|tls-\S+) /;

const values = [
  ...[
    '',
    ' ',
    '0',
    '1',
    '-1',
    '5',
    '10',
    '99',
    '100',
    '101',
    '1000',
    '1001',
    '65535',
    '65536',
    '+1',
    '01',
    '1 ',
  ],
  ...['2147483647', '2147483648', '-2147483648', '-2147483649', '4294967296', '1048575', '1048576', '0x10'],
  ...['9223372036854775807', '9223372036854775808', '-9223372036854775808', '18446744073709551615'],
  ...[
    '99999999999999999999',
    '1k',
    '1kb',
    '3M',
    '2mB',
    '1g',
    '1gb',
    '1b',
    '1t',
    '1.5k',
    'k',
    '1 kb',
    '17179869184gb',
  ],
  ...['1%', '0%', '100%', '101%', '-1%', '05%', '%', '5 %', 'yes', 'no', 'YES', 'No', 'true', 'zzz', 'local'],
  ...['debug', 'VERBOSE', 'notice', 'allkeys-lru', 'Volatile-TTL', 'noeviction', 'everysec', 'always'],
  ...['save', 'nosave', 'save now', 'now force save', 'save nosave', 'default now', 'save  now', 'relative'],
  ...['resetchannels', 'ip', 'hostname', 'swapdb', 'clients', 'optional', 'panic', 'absolute', 'disabled'],
  ...[
    '900 1',
    '900 1 300 10',
    '900 0',
    '0 1',
    '900 -1',
    '900 1 5',
    '900  1',
    '900 +1',
    '4294967297 4294967297',
  ],
  ...[
    'normal 1 2 3',
    'replica 1mb 2kb 3 slave 0 0 0',
    'pubsub 1 2',
    'bogus 1 2 3',
    'normal -1 2 3',
    'master 1 2 3',
  ],
  ...['normal 1 2 4294967297', 'normal 1 2 2147483648', 'NORMAL 5 6 7 pubsub 1 1 1', 'normal 1 2 3x'],
  ...['KEA', 'g$lshzxet', 'g$lshzxetdm', 'Kg', 'Emn', 'q', 'Elg', 'KExx'],
  ...[
    '50',
    '50 99 100',
    '99.99',
    '1e1',
    '50.10',
    '100.1',
    '-0',
    'inf',
    'nan',
    '50 50',
    '0.00001',
    '33.333333',
  ],
  ...['0 200 800', '1 2', '1 2 3 4', '-2001 1 1', '3 2 1', '1.5 2 3', 'a b c'],
  ...['{title}', '{title} {port}', '{bogus}', '{', '}', 'x', 'a.b-c', 'a_b', 'a/b', 'x y', 'x'.repeat(300)],
  ...['"x"', "'x'", 'a"b\\c\n\x01\xff', '127.0.0.1 6379'],
];

async function startRedis(t: { teardown(body: () => unknown): void }): Promise<TestServer> {
  const redis = await TestServer.start({ kind: 'redis', directives: { save: '3600 1' } });
  t.teardown(() => redis.stop());
  return redis;
}

t.test('CONFIG GET * shows what redis-server shows', { skip: skipWithoutRedis() }, async (t) => {
  const redis = await TestServer.start({ kind: 'redis' });
  t.teardown(() => redis.stop());
  const flat = (await redis.client().call('CONFIG', 'GET', '*')) as string[];
  const config = new Config();
  config.loadText(`port ${redis.port}\nbind 127.0.0.1\nsave ""\nenable-debug-command yes\n`, 'test');
  config.set([['dir', redis.directory]], true);
  const expected = new Map<string, string>();
  for (let at = 0; at < flat.length; at += 2) expected.set(flat[at], flat[at + 1]);
  const actual = new Map(config.get('*').filter(([name]) => !OWN.has(name) && !NEWER_NAMES.has(name)));
  const sorted = (map: Map<string, string>) => [...map].sort((left, right) => (left[0] < right[0] ? -1 : 1));
  t.same(sorted(actual), sorted(expected));
});

t.test('CONFIG SET answers as redis-server', { skip: skipWithoutRedis() }, async (t) => {
  const redis = await startRedis(t);
  const client = await redis.rawClient();
  const get = (name: string) => client.command('CONFIG', 'GET', name);
  for (const directive of directives) {
    if (directive.fileOnly || OWN.has(directive.name) || LOCAL.has(directive.name)) continue;
    for (const name of [directive.name, directive.alias]) {
      if (name === undefined || NEWER_NAMES.has(name)) continue;
      const config = new Config();
      const differences: string[] = [];
      const start = (await get(name)).toString('latin1').split('\r\n');
      await client.command('CONFIG', 'SET', name, Buffer.from(start[4], 'latin1'));
      if (!directive.immutable && !directive.protected) {
        t.equal(config.set([[name, start[4]]]), null, `${name} takes its own value`);
      }
      for (const value of values) {
        const expected = (await client.command('CONFIG', 'SET', name, Buffer.from(value, 'latin1'))).toString(
          'latin1',
        );
        // The classes of events o and c came later.
        if (name === 'notify-keyspace-events' && value === 'no') continue;
        // TLS is compiled in or not, and then looks for files.
        if (expected.includes('Unable to update TLS configuration')) continue;
        const failure = config.set([[name, value]]);
        const actual = failure === null ? '+OK\r\n' : `-${failure}\r\n`;
        const shown = (await get(name)).toString('latin1');
        const stored = config.get(name)[0][1];
        const encoded = `*2\r\n$${name.length}\r\n${name}\r\n$${stored.length}\r\n${stored}\r\n`;
        if (actual !== expected || (!directive.immutable && shown !== encoded)) {
          differences.push(
            `${JSON.stringify(value)}: ${actual} instead of ${expected}; ${stored} / ${shown}`,
          );
        }
      }
      t.same(differences, [], name);
    }
  }
});

t.test('several pairs, all or none, as redis-server', { skip: skipWithoutRedis() }, async (t) => {
  const redis = await startRedis(t);
  const client = await redis.rawClient();
  const config = new Config();
  for (const pairs of [
    [
      ['hz', '20'],
      ['timeout', '7'],
    ],
    [
      ['hz', '30'],
      ['timeout', 'x'],
    ],
    [
      ['hz', '30'],
      ['nosuch', '1'],
    ],
    [
      ['nosuch', '1'],
      ['databases', '2'],
    ],
    [
      ['databases', '2'],
      ['nosuch', '1'],
    ],
    [
      ['hz', '30'],
      ['hz', '40'],
    ],
    [
      ['HZ', '30'],
      ['hz', '40'],
    ],
    [['HZ', 'x']],
    [
      ['hz', 'x'],
      ['databases', '3'],
    ],
    [
      ['slave-priority', '3'],
      ['replica-priority', '4'],
    ],
    [
      ['maxmemory', '1mb'],
      ['dir', '/tmp'],
    ],
    [
      ['maxmemory', '2mb'],
      ['dbfilename', 'x'],
    ],
    [['SLAVE-priority', 'x']],
    [['rename-command', 'x']],
    [['include', 'x']],
  ] as [string, string][][]) {
    const expected = (await client.command('CONFIG', 'SET', ...pairs.flat())).toString('latin1');
    const failure = config.set(pairs);
    t.equal(failure === null ? '+OK\r\n' : `-${failure}\r\n`, expected, JSON.stringify(pairs));
    for (const name of ['hz', 'timeout', 'maxmemory', 'replica-priority']) {
      const shown = (await client.command('CONFIG', 'GET', name)).toString('latin1').split('\r\n')[4];
      t.equal(config.value(name), shown, `${name} after ${JSON.stringify(pairs)}`);
    }
  }
});

t.test('CONFIG GET patterns as redis-server', { skip: skipWithoutRedis() }, async (t) => {
  const redis = await startRedis(t);
  const client = redis.client();
  const config = new Config();
  for (const patterns of [
    ['maxmemory*'],
    ['MAX*'],
    ['Hz'],
    ['PORT', 'p[o]rt', 'po?t', 'hz'],
    ['*slave*', 'repl*'],
    ['nosuch'],
    ['key-load-delay'],
    ['key-load*'],
    ['rename-command', 'include', 'user'],
    ['[a-c]*y', '*y'],
    ['h\\z'],
  ]) {
    const flat = (await client.call('CONFIG', 'GET', ...patterns)) as string[];
    const expected = flat.filter((_text, index) => index % 2 === 0).sort();
    t.same(
      config
        .getAll(patterns)
        .map(([name]) => name)
        .filter((name) => !OWN.has(name))
        .sort(),
      expected,
      JSON.stringify(patterns),
    );
  }
});

t.test('CONFIG REWRITE writes what redis-server writes', { skip: skipWithoutRedis() }, async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-rewrite-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const seed = Date.now() | 0;
  const random = new Random(seed);
  const pieces = [
    '# a comment',
    '',
    '',
    'maxmemory 10mb',
    'maxmemory 3000',
    'hz 20',
    'hz 10',
    'save 900 1',
    'save 60 10',
    'slave-priority 7',
    'TIMEOUT   33',
    'masterauth "a b"',
    'notify-keyspace-events KEA',
    'maxmemory-clients 5%',
    'client-output-buffer-limit pubsub 1mb 1 1',
    'client-output-buffer-limit normal 0 0 0',
    'appendonly no',
    'latency-tracking-info-percentiles 50',
    'ignore-warnings ""',
    'repl-backlog-size 1gb',
    '  # indented ',
    'shutdown-on-sigterm now force',
    'proc-title-template "{port}"',
    'maxmemory-policy allkeys-lfu',
    'save ""',
    'rename-command DEBUG ""',
    'cluster-announce-ip ""',
    'unixsocketperm 700',
    'oom-score-adj-values 1 2 3',
  ];
  const changes: [string, string][] = [
    ['maxmemory', '1gb'],
    ['maxmemory', '0'],
    ['hz', '10'],
    ['hz', '11'],
    ['save', ''],
    ['save', '5 5 6 6 7 7'],
    ['replica-priority', '100'],
    ['timeout', '0'],
    ['masterauth', ''],
    ['masterauth', '\\"x\n\x01'],
    ['notify-keyspace-events', ''],
    ['notify-keyspace-events', 'Kg'],
    ['maxmemory-clients', '0'],
    ['client-output-buffer-limit', 'pubsub 33554432 8388608 60'],
    ['client-output-buffer-limit', 'slave 1 1kb 1'],
    ['latency-tracking-info-percentiles', ''],
    ['latency-tracking-info-percentiles', '50 99 99.9'],
    ['proc-title-template', '{title} {listen-addr} {server-mode}'],
    ['shutdown-on-sigterm', 'default'],
    ['appendfsync', 'always'],
    ['lfu-log-factor', '12'],
    ['replica-announce-ip', 'x'],
    ['maxmemory-clients', '7%'],
    ['oom-score-adj-values', '0 200 800'],
    ['ignore-warnings', 'ARM64-COW-BUG'],
  ];
  for (let round = 0; round < 12; round++) {
    const file = path.join(directory, `redis${round}.conf`);
    const ours = path.join(directory, `ours${round}.conf`);
    const drawn = Array.from({ length: random.between(0, 25) }, () => random.pick(pieces));
    // A command can be renamed once only.
    const isGood = (line: string, at: number) => !line.startsWith('rename') || drawn.indexOf(line) === at;
    const source = drawn
      .filter(isGood)
      .map(
        (line) => `${line}
`,
      )
      .join('');
    writeFileSync(file, source);
    writeFileSync(ours, source);
    // Everything is in the file, so that both know the same.
    const redis = await TestServer.start({ kind: 'redis', configFile: file });
    const client = await redis.rawClient();
    const config = new Config();
    config.loadFile(ours);
    config.loadArguments(['port', String(redis.port)], '');
    config.loadArguments(['bind', '127.0.0.1'], '');
    config.loadArguments(['dir', redis.directory], '');
    config.loadArguments(['enable-debug-command', 'yes'], '');
    config.loadArguments(['save', ''], '');
    const log = [source];
    for (let step = 0; step < 3; step++) {
      t.equal((await client.command('CONFIG', 'REWRITE')).toString(), '+OK\r\n');
      t.equal(config.rewrite(), null);
      const [expected, actual] = [file, ours].map((name) => {
        // redis-server writes its users as well. New directives come in no particular order.
        const lines = readFileSync(name, 'latin1')
          .split('\n')
          .filter((line) => !line.startsWith('user '));
        const signature = lines.indexOf('# Generated by CONFIG REWRITE');
        return [...lines.slice(0, signature), ...lines.slice(signature).filter(Boolean).sort()];
      });
      t.same(actual, expected, `seed ${seed}, round ${round}, step ${step}, ${JSON.stringify(log)}`);
      const [name, value] = random.pick(changes);
      log.push(`${name} ${value}`);
      t.equal(config.set([[name, value]]), null);
      const reply = await client.command('CONFIG', 'SET', name, Buffer.from(value, 'latin1'));
      t.equal(reply.toString(), '+OK\r\n', `${name} ${value}`);
    }
    if (!source.includes('rename-command')) {
      t.equal((await client.command('DEBUG', 'CONFIG-REWRITE-FORCE-ALL')).toString(), '+OK\r\n');
      t.equal(config.rewrite(true), null);
      const [expected, actual] = [file, ours].map((name) =>
        readFileSync(name, 'latin1')
          .split('\n')
          .filter((line) => line !== '' && !OWN.has(line.split(' ')[0]!) && !UNWRITTEN.test(line))
          .sort(),
      );
      t.same(actual, expected, `seed ${seed}, round ${round}, with all defaults`);
    }
    await redis.stop();
  }
});

t.test('without a file there is nothing to rewrite', async (t) => {
  t.equal(new Config().rewrite(), 'ERR The server is running without a config file');
});

t.test('a failure to carry out a change rolls all of it back', async (t) => {
  const config = new Config();
  const failure = config.set(
    [
      ['hz', '77'],
      ['port', '1'],
    ],
    false,
    (changed) => {
      t.same(changed, ['hz', 'port']);
      t.equal(config.port, 1);
      return { name: 'port', reason: 'Unable to listen on this port. Check server logs.' };
    },
  );
  t.equal(
    failure,
    "ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.",
  );
  t.equal(config.hz, 10);
  t.equal(config.port, 6379);
});

t.test('protected directives', async (t) => {
  const config = new Config();
  t.match(config.set([['dir', '/']]), "can't set protected config");
  t.equal(config.set([['dir', '/']], true), null);
  t.equal(config.dir, '/');
  t.match(config.set([['dir', '/nosuch']], true), 'No such file or directory');
});

t.test('typed fields and snapshots', async (t) => {
  const config = new Config();
  config.loadText(
    [
      'maxmemory 100mb',
      'maxmemory-policy volatile-lfu',
      'maxmemory-clients 10%',
      'client-output-buffer-limit normal 1mb 2kb 3',
      'unixsocket "/tmp/\\xc3\\xa9"',
      'requirepass "\\xff"',
      'bind 127.0.0.1 -::1',
      'rename-command CONFIG secret',
      'threads 3',
    ].join('\n'),
    'test',
  );
  const { version } = config;
  t.same(
    config.set([
      ['timeout', '9'],
      ['hz', '10'],
    ]),
    null,
  );
  t.same(config.changesSince(version), [['timeout', '9']]);
  const copy = Config.fromJSON(JSON.parse(JSON.stringify(config)));
  for (const each of [config, copy]) {
    t.equal(each.maxMemoryBytes, 100 << 20);
    t.equal(each.maxMemoryPolicy, EvictionPolicy.VolatileLfu);
    t.equal(each.maxMemoryClientsBytes, 10 << 20);
    t.same(each.normalOutputLimit, { hardBytes: 1 << 20, softBytes: 2048, softSeconds: 3 });
    t.equal(each.unixSocket, '/tmp/é');
    t.equal(each.requirePass, '\xff');
    t.same(each.bind, ['127.0.0.1', '-::1']);
    t.same(each.renamedCommands, [['CONFIG', 'secret']]);
    t.equal(each.threads, 3);
    t.equal(each.timeoutSeconds, 9);
  }
  config.set([['maxmemory', '1gb']]);
  t.same(copy.adopt(config.toJSON()), ['maxmemory']);
  t.equal(copy.maxMemoryBytes, 2 ** 30);
  t.same(copy.adopt(config.toJSON()), []);
});
