/** MIGRATE, between Damselfly and redis-server and to servers that misbehave. */

import { createRequire } from 'node:module';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t from 'tap';
import { DATA_TYPES, differences, fillRandomly, readDataset } from '../../tools/dataset.js';
import { freePort } from '../../tools/free-port.js';
import { Random } from '../../tools/random.js';
import { type ServerKind, skipWithoutRedis, TestServer, withServers } from '../../tools/server.js';

type Request = Buffer[];

/** A server that does with requests what the test says. */
class Peer {
  readonly requests: Request[] = [];
  private readonly server = net.createServer((socket) => this.serve(socket));
  private readonly sockets = new Set<net.Socket>();

  /** `answer`: gets each request; what it returns is sent. */
  constructor(private readonly answer: (request: Request, socket: net.Socket) => Promise<string> | string) {}

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return String((this.server.address() as net.AddressInfo).port);
  }

  private serve(socket: net.Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => {});
    const Parser = createRequire(import.meta.url)('redis-parser');
    let answered = Promise.resolve();
    const parser = new Parser({
      returnBuffers: true,
      returnReply: (request: Request) => {
        this.requests.push(request);
        answered = answered.then(async () => void socket.write(await this.answer(request, socket)));
      },
      returnError: () => {},
    });
    socket.on('data', (data) => parser.execute(data));
  }

  get names(): string[] {
    return this.requests.map((request) => String(request[0]));
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}

/** The reply, or the error. */
function migrate(client: Redis, ...args: (string | number | Buffer)[]): Promise<string> {
  return client.call('MIGRATE', ...args).then(String, (error: Error) => error.message);
}

const KINDS: readonly ServerKind[] = ['damselfly', 'redis'];

for (const from of KINDS) {
  for (const to of KINDS) {
    t.test(`all types from ${from} to ${to}`, { skip: skipWithoutRedis() }, async (t) => {
      const seed = 4401;
      const [source, target] = await Promise.all([
        TestServer.start({ kind: from, threads: 2 }),
        TestServer.start({ kind: to, threads: 2 }),
      ]);
      t.teardown(() => Promise.all([source.stop('SIGKILL'), target.stop('SIGKILL')]));
      const client = source.client();
      await fillRandomly(client, new Random(seed), 150, DATA_TYPES);
      const expected = await readDataset(client);
      for (const database of new Set([...expected.keys()].map((name) => name.split(' ')[0]!))) {
        await client.select(Number(database));
        const [one, ...others] = await client.keysBuffer('*');
        t.equal(await migrate(client, '127.0.0.1', target.port, one!, database, 5000, 'COPY'), 'OK');
        t.equal(await client.exists(one!), 1, 'a copy leaves the key');
        const all = ['REPLACE', 'KEYS', 'no such key', one!, ...others];
        t.equal(await migrate(client, '127.0.0.1', target.port, '', database, 5000, ...all), 'OK');
        t.equal(await client.dbsize(), 0);
      }
      const found = await readDataset(target.client());
      // An expiry travels as what is left of it.
      const withoutExpiry = (all: Map<string, string>) =>
        new Map([...all].map(([name, text]) => [name, text.replace(/ \d+ /, ' expires ')]));
      t.same(differences(withoutExpiry(found), withoutExpiry(expected)), [], `seed ${seed}`);
    });
  }
}

/** Everything that can be said to a source in vain, and its answers. */
async function answersOf(kind: ServerKind): Promise<string[]> {
  const [source, target] = await Promise.all([
    TestServer.start({ kind, threads: 2 }),
    TestServer.start({ kind: 'redis', directives: { requirepass: 'secret' } }),
  ]);
  const closed = await freePort();
  const client = source.client();
  const answers: string[] = [];
  await client.mset('a', '1', 'b', '2', 'c', '3');
  const port = target.port;
  for (const args of [
    ['127.0.0.1', port, 'a', 0, 1000],
    ['127.0.0.1', port, 'a', 0, 1000, 'AUTH', 'wrong'],
    ['127.0.0.1', port, 'a', 0, 1000, 'AUTH2', 'nobody', 'secret'],
    ['127.0.0.1', port, 'a', 0, 1000, 'AUTH', 'secret', 'COPY'],
    ['127.0.0.1', port, 'a', 0, 1000, 'AUTH2', 'default', 'secret'],
    ['127.0.0.1', port, 'a', 0, 1000, 'AUTH', 'secret', 'replace'],
    ['127.0.0.1', port, 'b', 'x', 1000, 'AUTH', 'secret'],
    ['127.0.0.1', port, 'b', 'x', 'y', 'AUTH', 'secret'],
    ['127.0.0.1', port, 'b', 3, -1, 'AUTH', 'secret', 'COPY'],
    ['127.0.0.1', port, 'b', 0, 1000, 'AUTH'],
    ['127.0.0.1', port, 'b', 0, 1000, 'AUTH2', 'default'],
    ['127.0.0.1', port, 'b', 0, 1000, 'WHAT'],
    ['127.0.0.1', port, 'b', 0, 1000, 'KEYS', 'b'],
    ['127.0.0.1', port, '', 0, 1000, 'KEYS'],
    ['127.0.0.1', port, '', 0, 1000, 'AUTH', 'secret', 'KEYS', 'b', 'b', 'c'],
    ['127.0.0.1', port, '', 0, 1000, 'AUTH', 'secret', 'KEYS', 'b', 'c'],
    ['127.0.0.1', port, 'none', 'x', 1000],
    ['127.0.0.1', port, 'none', 0, 1000],
    ['127.0.0.1', port, 'c', 99, 1000, 'AUTH', 'secret'],
    ['127.0.0.1', closed, 'c', 0, 1000],
    ['127.0.0.1', 'no port', 'c', 0, 1000],
    ['127.0.0.1', port],
  ]) {
    await client.set('c', '3');
    answers.push(
      `${args.slice(2).join(' ')}: ${await migrate(client, ...args)}, ${await client.exists('a', 'b', 'c')} left`,
    );
  }
  await Promise.all([source.stop('SIGKILL'), target.stop('SIGKILL')]);
  return answers;
}

t.test('the answers of Redis', { skip: skipWithoutRedis() }, async (t) => {
  const [ours, theirs] = await Promise.all([answersOf('damselfly'), answersOf('redis')]);
  t.same(ours, theirs);
});

withServers(t, 'other servers that misbehave', {}, async (t, server) => {
  const client = server.client();
  const silent = new Peer(() => new Promise<string>(() => {}));
  const silentPort = await silent.listen();
  const reading = 'IOERR error or timeout reading to target instance';
  await client.mset('a', '1', 'b', '2', 'c', '3');
  // On a busy machine the time may be over before the connection is made.
  const timedOut = /^IOERR error or timeout (connecting to the client|reading to target instance)$/;
  t.match(await migrate(client, '127.0.0.1', silentPort, 'a', 0, 200), timedOut);
  const inTransaction = await client.multi().call('MIGRATE', '127.0.0.1', silentPort, 'a', '0', '200').exec();
  t.match(inTransaction?.[0]?.[0]?.message, timedOut, 'in a transaction');
  // One key is acknowledged, then the connection ends.
  const ending = new Peer((_, socket) => {
    socket.end('+OK\r\n');
    return '';
  });
  const endingPort = await ending.listen();
  t.equal(await migrate(client, '127.0.0.1', endingPort, '', 0, 1000, 'KEYS', 'a', 'b', 'c'), reading);
  t.same(await client.mget('a', 'b', 'c'), [null, '2', '3'], 'what was acknowledged has gone');
  const loading = new Peer(() => '-LOADING wait\r\n');
  const loadingPort = await loading.listen();
  t.equal(
    await migrate(client, '127.0.0.1', loadingPort, 'b', 0, 1000),
    'ERR Target instance replied with error: LOADING wait',
  );
  const talking = new Peer(() => 'this is no reply\r\n');
  const talkingPort = await talking.listen();
  t.equal(await migrate(client, '127.0.0.1', talkingPort, 'b', 0, 1000), reading);
  // Before AUTH and SELECT have succeeded, nothing is sent that another database could get.
  const refusing = new Peer(() => '-ERR no\r\n');
  const refusingPort = await refusing.listen();
  const answer = await migrate(client, '127.0.0.1', refusingPort, 'b', 1, 1000, 'AUTH', 'x');
  t.equal(answer, 'ERR Target instance replied with error: ERR no');
  t.same(refusing.names, ['AUTH', 'SELECT']);
  t.equal(await client.get('b'), '2');
  // A client that goes while its key is on the way.
  const going = server.client();
  const id = await going.client('ID');
  silent.requests.length = 0;
  const gone = going.call('MIGRATE', '127.0.0.1', silentPort, 'b', '0', '60000').catch(() => 'gone');
  while (silent.requests.length === 0) await delay(2);
  t.match(await client.info('clients'), /blocked_clients:1\r/);
  await client.client('KILL', 'ID', id);
  t.equal(await gone, 'gone');
  t.equal(await client.get('b'), '2');
  t.match(await client.info('clients'), /blocked_clients:0\r/);
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  for (const peer of [silent, ending, loading, talking, refusing]) peer.close();
});

withServers(t, 'keys that change on their way', {}, async (t, server) => {
  const client = server.client();
  const other = server.client();
  let change: () => Promise<unknown> = async () => null;
  const peer = new Peer(async (request) => {
    await change();
    return String(request[0]) === 'DEL' ? ':1\r\n' : '+OK\r\n';
  });
  const port = await peer.listen();
  const round = async (changes: (() => Promise<unknown>)[], key = 'k', ...options: string[]) => {
    peer.requests.length = 0;
    await other.flushall();
    await other.call('RPUSH', 'k', 'a');
    await other.set('other', 'x');
    change = async () => changes.shift()?.();
    const answer = await migrate(client, '127.0.0.1', port, key, 0, 5000, ...options);
    t.equal(answer, 'OK');
    return peer.requests.map((request) => `${request[0]} ${request[1]} ${request[4] ?? ''}`.trim());
  };
  t.same(await round([]), ['RESTORE k']);
  t.same(await round([() => other.rpush('k', 'b')]), ['RESTORE k', 'RESTORE k REPLACE'], 'sent again');
  t.equal(await other.exists('k'), 0);
  t.match(peer.requests[1]![3], /b/, 'with its new value');
  t.same(await round([() => other.del('k')]), ['RESTORE k', 'DEL k'], 'deleted there, too');
  t.same(
    await round([() => other.rename('k', 'renamed'), () => other.set('k', 'new')]),
    ['RESTORE k', 'DEL k'],
    'a key that comes later is another one',
  );
  t.equal(await other.get('k'), 'new');
  t.same(await round([() => other.flushall()]), ['RESTORE k', 'DEL k']);
  t.same(await round([() => other.pexpire('k', 1).then(() => delay(5))]), ['RESTORE k', 'DEL k'], 'expired');
  t.same(
    await round([() => other.rpush('k', 'b')], '', 'KEYS', 'other', 'k'),
    ['RESTORE other', 'RESTORE k', 'RESTORE k REPLACE'],
    'only what has changed',
  );
  t.equal(await other.exists('k', 'other'), 0);
  t.same(await round([() => other.rpush('k', 'b')], 'k', 'COPY'), ['RESTORE k'], 'a copy is of one moment');
  t.equal(await other.llen('k'), 2);
  // It changes again and again: at last the other client has to wait.
  const pushes: Promise<number>[] = [];
  const again = () => {
    const push = other.rpush('k', 'b');
    pushes.push(push);
    return push;
  };
  const sent = await round([again, again, again, async () => void pushes.push(other.rpush('k', 'late'))]);
  t.same(sent, ['RESTORE k', 'RESTORE k REPLACE', 'RESTORE k REPLACE', 'RESTORE k REPLACE']);
  t.same(await Promise.all(pushes), [2, 3, 4, 1], 'the last comes when the key has gone');
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  peer.close();
});

t.test('no increment is lost', { skip: skipWithoutRedis() }, async (t) => {
  const [source, target] = await Promise.all([
    TestServer.start({ kind: 'damselfly', threads: 2 }),
    TestServer.start({ kind: 'redis' }),
  ]);
  t.teardown(() => Promise.all([source.stop('SIGKILL'), target.stop('SIGKILL')]));
  const client = source.client();
  const theirs = target.client();
  let isOver = false;
  let current = 'counter:0';
  const made = new Map<string, number>();
  const incrementing = Array.from({ length: 4 }, async () => {
    const own = source.client();
    while (!isOver) {
      const key = current;
      await own.incr(key);
      made.set(key, (made.get(key) ?? 0) + 1);
    }
  });
  for (let number = 0; number < 40; number++) {
    const key = `counter:${number}`;
    while ((made.get(key) ?? 0) < 10) await delay(1);
    t.equal(await migrate(client, '127.0.0.1', target.port, key, 0, 5000), 'OK');
    current = `counter:${number + 1}`;
  }
  isOver = true;
  await Promise.all(incrementing);
  for (let number = 0; number < 40; number++) {
    const key = `counter:${number}`;
    const sum = Number(await client.get(key)) + Number(await theirs.get(key));
    t.equal(sum, made.get(key), key);
  }
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
});

withServers(t, 'between other commands', {}, async (t, server) => {
  const peer = new Peer(() => delay(5).then(() => '+OK\r\n'));
  const port = await peer.listen();
  const raw = await server.rawClient();
  const client = server.client();
  const move = `MIGRATE 127.0.0.1 ${port} k 0 5000`;
  await client.config('RESETSTAT');
  await client.config('SET', 'slowlog-log-slower-than', '0');
  await client.call('SLOWLOG', 'RESET');
  raw.write(`SET k 1\r\nGET k\r\n${move}\r\nGET k\r\nPING\r\n`);
  t.equal(String(Buffer.concat(await raw.readMany(5))), '+OK\r\n$1\r\n1\r\n+OK\r\n$-1\r\n+PONG\r\n');
  t.match(await client.info('commandstats'), /cmdstat_migrate:calls=1,/, 'counted once');
  raw.write(`SET k 1\r\nCLIENT REPLY SKIP\r\n${move}\r\nGET k\r\n`);
  t.equal(String(Buffer.concat(await raw.readMany(2))), '+OK\r\n$-1\r\n');
  raw.write(`MULTI\r\nSET k 1\r\n${move}\r\nGET k\r\nEXEC\r\n`);
  const replies = '+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n+OK\r\n$-1\r\n';
  t.equal(String(Buffer.concat(await raw.readMany(5))), replies);
  await client.set('k', '1');
  const monitor = await server.rawClient();
  await monitor.command('MONITOR');
  t.equal(await migrate(client, '127.0.0.1', port, 'k', 0, 5000, 'AUTH', 'pass'), 'OK');
  await client.set('k', '1');
  t.equal(
    await migrate(client, '127.0.0.1', port, '', 0, 5000, 'AUTH2', 'user', 'pass', 'KEYS', 'k', 'AUTH'),
    'OK',
  );
  await client.ping('the end');
  let lines = '';
  while (!lines.includes('the end')) lines += String(await monitor.read());
  t.same(
    [...lines.matchAll(/"MIGRATE".*/g)].map(([line]) => line.trimEnd()),
    [
      `"MIGRATE" "127.0.0.1" "${port}" "k" "0" "5000" "AUTH" "(redacted)"`,
      `"MIGRATE" "127.0.0.1" "${port}" "" "0" "5000" "AUTH2" "(redacted)" "(redacted)" "KEYS" "k" "AUTH"`,
    ],
  );
  const slow = (await client.call('SLOWLOG', 'GET', '20')) as [number, number, number, string[]][];
  t.same(
    slow.map(([, , , args]) => args.join(' ')).filter((line) => line.includes('redacted')),
    [
      `MIGRATE 127.0.0.1 ${port}  0 5000 AUTH2 (redacted) (redacted) KEYS k AUTH`,
      `MIGRATE 127.0.0.1 ${port} k 0 5000 AUTH (redacted)`,
    ],
  );
  peer.close();
});
