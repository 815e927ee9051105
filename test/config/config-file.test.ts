import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { loadConfig, parseCommandLine } from '../../src/config/command-line.js';
import { Config } from '../../src/config/config.js';
import { expandPath, parseConfigText } from '../../src/config/config-file.js';
import { nearestName } from '../../src/config/nearest-name.js';
import { quoteArgument, splitArguments } from '../../src/config/quoting.js';
import { parseMemory } from '../../src/config/values.js';
import { freePort } from '../tools/free-port.js';
import { Random } from '../tools/random.js';
import { damselflyScript, run, TestServer } from '../tools/server.js';

function load(text: string): Config {
  const config = new Config();
  config.loadText(text, 'redis.conf');
  return config;
}

t.test('splitting lines into arguments', async (t) => {
  for (const [line, expected] of [
    ['', []],
    ['  ', []],
    ['a b\tc', ['a', 'b', 'c']],
    ['a "b c" d', ['a', 'b c', 'd']],
    ['a "" b', ['a', '', 'b']],
    ["a 'b \"c' d", ['a', 'b "c', 'd']],
    ["'it\\'s \\n'", ["it's \\n"]],
    ['"\\x41\\n\\t\\"\\\\\\q\\xzz"', ['A\n\t"\\qxzz']],
    ['a"b c"', ['ab c']],
    ['a "b', null],
    ["a 'b", null],
    ['"a"b', null],
    ["'a'b", null],
    ['"a\\', null],
  ] as const) {
    t.same(splitArguments(line), expected, JSON.stringify(line));
  }
});

t.test('what is quoted reads back', async (t) => {
  const seed = Date.now() | 0;
  const random = new Random(seed);
  for (let round = 0; round < 1000; round++) {
    const text = Array.from({ length: random.below(20) }, () => String.fromCharCode(random.below(256))).join(
      '',
    );
    const args = splitArguments(`x ${quoteArgument(text)} y`);
    if (!t.same(args, ['x', text, 'y'], `seed ${seed}`)) break;
  }
});

t.test('units of memory', async (t) => {
  t.equal(parseMemory('1'), 1n);
  t.equal(parseMemory('1k'), 1000n);
  t.equal(parseMemory('1Kb'), 1024n);
  t.equal(parseMemory('2m'), 2_000_000n);
  t.equal(parseMemory('2MB'), 2n << 20n);
  t.equal(parseMemory('3g'), 3_000_000_000n);
  t.equal(parseMemory('3gb'), 3n << 30n);
  for (const text of ['1t', '-1', '1.5k', '1 k', 'kk', '1kbb']) t.equal(parseMemory(text), -1n, text);
});

t.test('comments, blank lines, line numbers', async (t) => {
  const lines = [...parseConfigText('# c\n\n  port 1  \r\n\thz "2"\n#x', 'f')];
  t.same(
    lines.map((line) => [line.place, line.text, line.args]),
    [
      ['f line 3', 'port 1', ['port', '1']],
      ['f line 4', 'hz "2"', ['hz', '2']],
    ],
  );
});

t.test('repeated directives', async (t) => {
  t.equal(load('hz 1\nhz 2').hz, 2);
  t.equal(load('save 900 1\nsave 60 5').value('save'), '900 1 60 5');
  t.equal(load('save 900 1\nsave ""').value('save'), '');
  t.equal(load('save ""\nsave 60 5').value('save'), '60 5');
  t.equal(load('save').value('save'), '');
  t.equal(load('latency-tracking-info-percentiles').value('latency-tracking-info-percentiles'), '');
  t.equal(
    load('client-output-buffer-limit').value('client-output-buffer-limit'),
    load('').value('client-output-buffer-limit'),
  );
  t.equal(load('save 900 1 60 5').value('save'), '900 1 60 5');
  t.equal(load('save "900 1"').value('save'), '900 1');
  t.equal(load('bind 1.1.1.1\nbind 2.2.2.2 ::*').value('bind'), '2.2.2.2 ::*');
  t.match(load('client-output-buffer-limit normal 1 2 3\nclient-output-buffer-limit pubsub 4 5 6'), {
    normalOutputLimit: { hardBytes: 1 },
    replicaOutputLimit: { hardBytes: 256 << 20 },
    pubSubOutputLimit: { softBytes: 5 },
  });
});

t.test('mistakes', async (t) => {
  for (const [text, message] of [
    ['\nmaxmemory 10q', "redis.conf line 2: 'maxmemory 10q': argument must be a memory value"],
    ['port', "redis.conf line 1: 'port': wrong number of arguments"],
    ['maxmemory 1 2', "redis.conf line 1: 'maxmemory 1 2': wrong number of arguments"],
    ['port "18', "redis.conf line 1: 'port \"18': unbalanced quotes in configuration line"],
    ['maxmemry 1gb', "redis.conf line 1: 'maxmemry 1gb': unknown directive (did you mean 'maxmemory'?)"],
    ['xyzzy 1', "redis.conf line 1: 'xyzzy 1': unknown directive"],
    [
      'unixsocketperm 9',
      "redis.conf line 1: 'unixsocketperm 9': argument couldn't be parsed as an octal number",
    ],
    [
      'unixsocketperm 1777',
      "redis.conf line 1: 'unixsocketperm 1777': argument must be between 0 and 777 inclusive",
    ],
    ['databases 0', "redis.conf line 1: 'databases 0': argument must be between 1 and 2147483647 inclusive"],
    ['dir /nosuch', "redis.conf line 1: 'dir /nosuch': No such file or directory"],
    ['replicaof a b', "redis.conf line 1: 'replicaof a b': Invalid master port"],
    ['rename-command GET', "redis.conf line 1: 'rename-command GET': wrong number of arguments"],
    ['include a b', "redis.conf line 1: 'include a b': wrong number of arguments"],
    [
      'include /nosuch',
      "redis.conf line 1: 'include /nosuch': can't open '/nosuch': No such file or directory",
    ],
    ['appendfilename ""', "redis.conf line 1: 'appendfilename \"\"': appendfilename can't be empty"],
  ]) {
    t.throws(() => load(text), { message }, text);
  }
});

t.test('directives without effect are named', async (t) => {
  const config = load(
    'io-threads 4\nACTIVEDEFRAG yes\nsave ""\ndaemonize no\nslaveof no one\nport 1\nio-threads 2',
  );
  t.same([...config.ignoredDirectives], ['io-threads', 'activedefrag']);
});

t.test('include', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-include-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const write = (name: string, text: string) => writeFileSync(path.join(directory, name), text);
  mkdirSync(path.join(directory, 'more'));
  write('main.conf', `dir ${directory}\nhz 1\ninclude more/*.conf\ninclude none*.conf\ntimeout 7\n`);
  write('more/10.conf', 'hz 10\ntimeout 10\n');
  write('more/20.conf', 'hz 20\n');
  write('more/.hidden.conf', 'hz 99\n');
  write('more/other.txt', 'hz 98\n');
  const config = new Config();
  config.loadFile(path.join(directory, 'main.conf'));
  t.equal(config.hz, 20);
  t.equal(config.timeoutSeconds, 7);
  t.equal(config.configFile, path.join(directory, 'main.conf'));
  t.same(expandPath(path.join(directory, 'mo?e', '[12]0.conf')), [
    path.join(directory, 'more/10.conf'),
    path.join(directory, 'more/20.conf'),
  ]);
  write('more/20.conf', 'hz 20\nhz x\n');
  t.throws(() => new Config().loadFile(path.join(directory, 'main.conf')), {
    message: `${directory}/more/20.conf line 2: 'hz x': argument couldn't be parsed into an integer`,
  });
  write('loop.conf', `include ${directory}/loop.conf\n`);
  t.throws(() => new Config().loadFile(path.join(directory, 'loop.conf')), /include each other/);
});

t.test('sorting the command line', async (t) => {
  const parse = (...argv: string[]) => parseCommandLine(argv);
  t.same(parse('a.conf', '--port', '1', '--save', '900', '1', '--bind', '-10.0.0.1', '-::1'), {
    others: ['a.conf'],
    readsStandardInput: false,
    directives: [
      ['port', '1'],
      ['save', '900', '1'],
      ['bind', '-10.0.0.1', '-::1'],
    ],
  });
  t.same(parse('--maxmemory=1gb', '--hz 5').directives, [
    ['maxmemory', '1gb'],
    ['hz', '5'],
  ]);
  t.same(parse('--save', '--port', '1').directives, [['save'], ['port', '1']]);
  t.same(parse('--requirepass', '--secret--').directives, [['requirepass', '--secret--']]);
  t.same(parse('--slowlog-log-slower-than', '-1').directives, [['slowlog-log-slower-than', '-1']]);
  t.same(parse('-').readsStandardInput, true);
  t.same(parse('--port', '1', '-'), { others: [], readsStandardInput: true, directives: [['port', '1']] });
  t.same(parse('--version').others, ['--version']);
  t.same(parse('a.conf', 'loglevel', 'verbose', '--port', '1'), {
    others: ['a.conf'],
    readsStandardInput: false,
    directives: [
      ['loglevel', 'verbose'],
      ['port', '1'],
    ],
  });
  t.same(parse('a.conf', 'b.conf').others, ['a.conf', 'b.conf'], 'one too many');
  t.same(parse('--requirepass', '--help').directives, [['requirepass', '--help']]);
});

t.test('directives of the command line win over the file', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-order-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = path.join(directory, 'a.conf');
  writeFileSync(file, 'port 1\nhz 3\n');
  const config = loadConfig(file, parseCommandLine(['--port', '2', '--save', '--requirepass', 'é']));
  t.equal(config.port, 2);
  t.equal(config.hz, 3);
  t.equal(config.value('save'), '');
  t.equal(config.requirePass, '\xc3\xa9');
  t.throws(() => loadConfig(null, parseCommandLine(['--maxmemory', '10 q'])), {
    message: 'command line: \'--maxmemory "10 q"\': argument must be a memory value',
  });
});

t.test('the name that was meant', async (t) => {
  const names = ['maxmemory', 'maxclients', 'port', 'bind'];
  t.equal(nearestName('maxmemroy', names), 'maxmemory');
  t.equal(nearestName('maxclient', names), 'maxclients');
  t.equal(nearestName('por', names), 'port');
  t.equal(nearestName('something-else', names), null);
});

t.test('the program', async (t) => {
  const damselfly = (args: string[], input?: string) =>
    run([process.execPath, damselflyScript, ...args], input);
  t.match(damselfly(['--version']), {
    code: 0,
    stdout: /^Damselfly server v=\S+ redis=7\.0\.15 node=v\S+\n$/,
  });
  t.match(damselfly(['--help']), { code: 0, stdout: /--maxmemory <bytes>/ });
  const fails = (args: string[], stderr: string, input?: string) =>
    t.match(
      damselfly(args, input),
      { code: 1, stdout: '', stderr: `damselfly: ${stderr}\n` },
      args.join(' '),
    );
  fails(['--maxmemory', '10q'], "command line: '--maxmemory 10q': argument must be a memory value");
  fails(['--prot', '1'], "command line: '--prot 1': unknown directive (did you mean 'port'?)");
  fails(['nosuch.conf'], "can't open the configuration file 'nosuch.conf': No such file or directory");
  fails(['-x'], "unknown option '-x'");
  fails(['-'], "standard input line 1: 'port x': argument couldn't be parsed into an integer", 'port x\n');
});

t.test('a server takes its configuration from all places, and warns once', async (t) => {
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: 1,
    directives: { 'io-threads': 2, activedefrag: 'yes', requirepass: 'secret', databases: 3 },
  });
  t.teardown(() => server.stop());
  const client = await server.rawClient();
  t.equal(await client.text('AUTH', 'secret'), '+OK\r\n');
  t.equal(await client.text('SELECT', '2'), '+OK\r\n');
  t.equal(await client.text('SELECT', '3'), '-ERR DB index is out of range\r\n');
  const warnings = server.stderr.split('\n').filter((line) => line.includes('warning'));
  t.same(warnings, [
    'damselfly: warning: accepted, but without effect in this version: io-threads, activedefrag',
  ]);
  t.match(await server.stop(), { code: 0 });
});

t.test('a port in use', async (t) => {
  const port = await freePort();
  const first = await TestServer.start({ kind: 'damselfly', threads: 1, port });
  t.teardown(() => first.stop());
  const second = await TestServer.launch({ kind: 'damselfly', threads: 1, port });
  t.teardown(() => second.stop());
  t.match(await second.exited, { code: 1 });
  t.match(second.stderr, /^damselfly: can't listen on 127\.0\.0\.1 port \d+: Address already in use\n$/);
});
