/** Configuration files of other versions of Redis, and of Valkey. */

import t from 'tap';
import { loadConfig, parseCommandLine } from '../../src/config/command-line.js';
import { Config } from '../../src/config/config.js';
import { rewriteConfigText } from '../../src/config/config-rewrite.js';
import { directives } from '../../src/config/directives.js';
import { otherDirectiveNames } from '../../src/config/other-versions.js';

function load(text: string): Config {
  const config = new Config();
  config.loadText(text, 'redis.conf');
  return config;
}

t.test('directives that Redis 7.0 does not have', async (t) => {
  for (const name of otherDirectiveNames()) {
    t.doesNotThrow(() => load(`${name} ${name.startsWith('lua-') ? 'yes' : '1'}`), name);
    t.notOk(
      directives.some((directive) => directive.name === name || directive.alias === name),
      `${name} is no directive of 7.0`,
    );
  }
  const config = load(
    [
      'availability-zone "eu-west-1a"',
      'locale-collate ""',
      'HIDE-user-data-from-log yes',
      'enable-debug-assert no',
      'hotkey-top-k 16',
      'backupdirname "backupdir"',
      'search-timeout 500',
      'ts-num-threads 3',
      'mymodule.option a b',
      'io-threads 200',
    ].join('\n'),
  );
  t.same(
    [...config.ignoredDirectives],
    [
      'availability-zone',
      'hide-user-data-from-log',
      'hotkey-top-k',
      'search-timeout',
      'ts-num-threads',
      'mymodule.option',
      'io-threads',
    ],
  );
  t.same(config.get('availability-zone'), []);
  t.match(config.set([['availability-zone', 'x']]), /^ERR Unknown option/);
});

t.test('names that other versions have for a directive', async (t) => {
  const config = load(
    'commandlog-execution-slower-than 5\ncommandlog-slow-execution-max-len 6\nprimaryauth secret\nserver-cpulist 0-3\n',
  );
  t.equal(config.value('slowlog-log-slower-than'), '5');
  t.equal(config.value('slowlog-max-len'), '6');
  t.equal(config.value('masterauth'), 'secret');
  t.equal(config.value('server_cpulist'), '0-3');
  t.equal(
    rewriteConfigText('commandlog-execution-slower-than 5\n', ({ name, defaultValue }) =>
      name === 'slowlog-log-slower-than' ? '7' : defaultValue,
    ).split('\n')[0],
    'slowlog-log-slower-than 7',
  );
});

t.test('values that newer versions have', async (t) => {
  const config = load(
    [
      'shutdown-on-sigterm save failover',
      'shutdown-on-sigint "safe"',
      'rdbcompression lz4',
      'repl-diskless-load flushdb',
      'notify-keyspace-events KESTx',
      'loglevel nothing',
    ].join('\n'),
  );
  t.equal(config.value('shutdown-on-sigterm'), 'save');
  t.equal(config.value('shutdown-on-sigint'), 'default');
  t.equal(config.value('rdbcompression'), 'yes');
  t.equal(config.value('repl-diskless-load'), 'disabled');
  t.equal(config.value('notify-keyspace-events'), 'xKE');
  t.equal(config.logLevel, 'nothing');
  t.same(
    [...config.replacedValues],
    [
      'shutdown-on-sigterm save failover (taken as save)',
      'shutdown-on-sigint safe (taken as default)',
      'rdbcompression lz4 (taken as yes)',
      'repl-diskless-load flushdb (taken as disabled)',
      'notify-keyspace-events KESTx (taken as KEx)',
    ],
  );
  t.match(load('activedefrag yes'), { ignoredDirectives: new Set(['activedefrag']) });
  t.match(new Config().set([['activedefrag', 'yes']]), /Active defragmentation cannot be enabled/);
  t.equal(new Config().set([['maxmemory-policy', 'allkeys-lrm']]), null);
});

t.test('bind without an address', async (t) => {
  for (const line of ['bind', 'bind ""']) t.same(load(line).bind, [], line);
});

t.test('what nobody knows', async (t) => {
  for (const [text, message] of [
    [
      'availabilty-zone x',
      "redis.conf line 1: 'availabilty-zone x': unknown directive (did you mean 'availability-zone'?)",
    ],
    ['xyzzy 1', "redis.conf line 1: 'xyzzy 1': unknown directive"],
    ['constructor 1', "redis.conf line 1: 'constructor 1': unknown directive"],
    [
      'sentinel monitor a 127.0.0.1 6379 1',
      "redis.conf line 1: 'sentinel monitor a 127.0.0.1 6379 1': sentinel directive while not in sentinel mode",
    ],
  ]) {
    t.throws(() => load(text), { message }, text);
  }
});

t.test('on the command line', async (t) => {
  const config = loadConfig(
    null,
    parseCommandLine(['--availability-zone', '-x', '--hotkey-top-k', '--port', '1']),
  );
  t.equal(config.port, 1);
  t.same([...config.ignoredDirectives], ['availability-zone', 'hotkey-top-k']);
});
