/** redis-cli in each of its modes, and redis-benchmark, against a whole server. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { encodeCommand } from '../tools/raw-client.js';
import { hasProgram, run, TestServer } from '../tools/server.js';

const PIPED_COMMANDS = 50_000;

const skip = hasProgram('redis-cli') ? false : 'redis-cli is not installed';

t.test('redis-cli', { skip }, async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 4 });
  t.teardown(() => server.stop('SIGKILL'));
  const cli = (args: string[], input?: string | Uint8Array) =>
    run(['redis-cli', '-p', String(server.port), ...args], input);

  t.test('--pipe', async (t) => {
    const commands = [];
    for (let index = 0; index < PIPED_COMMANDS; index++) {
      commands.push(encodeCommand(['SET', `key:${index}`, `value of ${index}`]));
    }
    const { code, stdout } = cli(['--pipe'], Buffer.concat(commands));
    t.equal(code, 0);
    t.match(stdout, `errors: 0, replies: ${PIPED_COMMANDS}`);
    t.equal(cli(['DBSIZE']).stdout, `${PIPED_COMMANDS}\n`);
  });

  t.test('commands from stdin, one by one', async (t) => {
    const { code, stdout } = cli(
      [],
      'SET greeting "hello world"\nGET greeting\nINCR greeting\nSELECT 2\nDBSIZE\n',
    );
    t.equal(code, 0);
    t.equal(stdout, 'OK\nhello world\nERR value is not an integer or out of range\n\nOK\n0\n');
  });

  t.test('-x, -r, -n, --raw, --csv, -3', async (t) => {
    t.equal(cli(['-x', 'SET', 'from stdin'], 'text').stdout, 'OK\n');
    t.equal(cli(['GET', 'from stdin']).stdout, 'text\n');
    t.equal(cli(['-r', '3', 'INCR', 'counter']).stdout, '1\n2\n3\n');
    t.equal(cli(['-n', '5', 'DBSIZE']).stdout, '0\n');
    t.equal(cli(['--csv', 'MGET', 'counter', 'nothing']).stdout, '"3",NULL\n');
    t.match(cli(['-3', 'HELLO', '3']).stdout, /proto 3/);
  });

  t.test('--scan', async (t) => {
    const { code, stdout } = cli(['--scan', '--pattern', 'key:1234*']);
    t.equal(code, 0);
    const expected = ['key:1234', ...Array.from({ length: 10 }, (_, digit) => `key:1234${digit}`)];
    t.strictSame(stdout.trim().split('\n').sort(), expected.sort());
  });

  t.test('--bigkeys and --memkeys', async (t) => {
    cli(['-x', 'SET', 'the biggest'], 'b'.repeat(30_000));
    const big = cli(['--bigkeys', '-i', '0']);
    t.equal(big.code, 0);
    t.match(big.stdout, /Biggest string found '"the biggest"' has 30000 bytes/);
    t.match(big.stdout, /Sampled 5\d{4} keys in the keyspace/);
    const memory = cli(['--memkeys', '-i', '0']);
    t.equal(memory.code, 0);
    t.match(memory.stdout, /Biggest string found '"the biggest"' has 3\d{4} bytes/);
  });

  for (const [mode, line] of [
    ['--stat', /keys +mem +clients|\d+ +[\d.]+[KMG] +\d+ +\d+/],
    ['--latency', /\d/],
  ] as const) {
    t.test(mode, async (t) => {
      const child = spawn('redis-cli', ['-p', String(server.port), mode, '-i', '0.01']);
      const closed = once(child, 'close');
      let output = '';
      child.stdout.on('data', (chunk) => {
        output += chunk;
      });
      for (let tries = 0; tries < 500 && !line.test(output); tries++) await delay(20);
      child.kill('SIGINT');
      await closed;
      t.match(output, line);
    });
  }
});

t.test(
  'redis-benchmark',
  { skip: hasProgram('redis-benchmark') ? false : 'redis-benchmark is not installed' },
  async (t) => {
    const server = await TestServer.start({ kind: 'damselfly', threads: 4 });
    t.teardown(() => server.stop('SIGKILL'));
    for (const depth of [1, 16, 64]) {
      const requests = depth === 1 ? '5000' : '30000';
      const line = `redis-benchmark -p ${server.port} -t ping,set,get,incr,mset -n ${requests} -r 10000 -P ${depth} -q`;
      const { code, stdout, stderr } = run(line.split(' '));
      t.equal(code, 0, `pipelines of ${depth}`);
      t.notMatch(stdout + stderr, /error/i);
      t.equal(stdout.match(/requests per second/g)?.length, 6, 'PING twice, SET, GET, INCR, MSET');
    }
    const client = server.client();
    t.equal(await client.call('DEBUG', 'VERIFY').catch(String), 'OK');
  },
);
