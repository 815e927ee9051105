/**
 * Many clients that wait for elements, on four workers: they time out, are unblocked, killed and disconnect, while others
 * push, move connections' keys about and take snapshots. Every element is given to one of them or is left.
 */

import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { bulkText, elementsOf } from '../compat/replies.js';
import { Random } from '../tools/random.js';
import { encodeCommand } from '../tools/raw-client.js';
import { TestServer } from '../tools/server.js';

const THREADS = 4;
const WAITERS = 150;
const MOVERS = 150;
const PUSHERS = 8;
const ELEMENTS_PER_PUSHER = 500;
const QUEUES = Array.from({ length: 12 }, (_, index) => `queue:${index}`);
const DONE = Array.from({ length: 5 }, (_, index) => `done:${index}`);

const seed = Date.now() % 1_000_000;

t.setTimeout(0);

t.test('no element is lost or given twice, and nobody waits for ever', async (t) => {
  t.setTimeout(0);
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: THREADS,
    directives: { appendonly: 'yes', appendfsync: 'everysec', 'auto-aof-rewrite-percentage': 0 },
  });
  t.teardown(() => server.stop('SIGKILL'));
  const control = server.client();
  const popped: string[] = [];
  const unexpected = new Set<string>();
  let arePushing = true;
  let timeouts = 0;
  let unblocked = 0;
  let broken = 0;
  const waiting = new Set<string>();

  /** Waits and takes; it is never killed, so what it was given is known. */
  const waiter = async (random: Random): Promise<void> => {
    const client = await server.rawClient();
    const id = (await client.text('CLIENT', 'ID')).slice(1).trim();
    waiting.add(id);
    while (arePushing) {
      const keys = random.shuffle([...QUEUES]).slice(0, random.between(1, 4));
      const timeout = random.pick(['0.02', '0.2', '1']);
      const isMany = random.chance(0.2);
      const reply = isMany
        ? await client.command(
            'BLMPOP',
            timeout,
            keys.length,
            ...keys,
            random.pick(['LEFT', 'RIGHT']),
            'COUNT',
            3,
          )
        : await client.command(random.pick(['BLPOP', 'BRPOP']), ...keys, timeout);
      const text = reply.toString('latin1');
      if (text.startsWith('-UNBLOCKED')) unblocked++;
      else if (text === '*-1\r\n') timeouts++;
      else if (text.startsWith('*2')) {
        const [, given] = elementsOf(reply)!;
        for (const element of isMany ? elementsOf(given!)! : [given!]) popped.push(bulkText(element));
      } else unexpected.add(text);
    }
    waiting.delete(id);
  };

  /** Waits and moves, so what it took can be found however it ends. */
  const mover = async (random: Random): Promise<void> => {
    while (arePushing) {
      const client = await server.rawClient();
      client.socket.on('error', () => {});
      try {
        for (let count = random.between(1, 20); count > 0 && arePushing; count--) {
          const timeout = random.pick(['0.02', '0.5']);
          const ends = ['LEFT', random.pick(['LEFT', 'RIGHT'])];
          const move = [random.pick(QUEUES), random.pick(DONE), ...ends, timeout];
          if (random.chance(0.5)) client.send('BLMOVE', ...move);
          else
            client.send(
              'BLMOVEM',
              ...move,
              random.pick(['COUNT', 'EXACTLY']),
              3,
              random.pick(['OBO', 'BULK']),
            );
          if (random.chance(0.1)) break;
          await client.read();
        }
        await client.close();
      } catch {
        broken++;
      }
    }
  };

  const pusher = async (random: Random, index: number): Promise<void> => {
    const client = await server.rawClient();
    for (let next = 0; next < ELEMENTS_PER_PUSHER; ) {
      const elements = Array.from(
        { length: Math.min(random.between(1, 4), ELEMENTS_PER_PUSHER - next) },
        (_, offset) => `${index}:${next + offset}`,
      );
      next += elements.length;
      const queue = random.pick(QUEUES);
      const push = [random.pick(['LPUSH', 'RPUSH']), queue, ...elements];
      const choice = random.below(10);
      if (choice < 6) await client.command(...push);
      else if (choice < 8) await client.pipeline([['MULTI'], push, ['EXEC']]);
      else {
        const aside = `aside:${index}`;
        await client.command('RPUSH', aside, ...elements);
        // What is in the queue may not be overwritten.
        if (choice === 8) await client.pipeline([['RENAMENX', aside, queue]]);
        for (;;) {
          const reply = await client.text('LMOVE', aside, queue, 'LEFT', 'RIGHT');
          if (reply.startsWith('$-1') || reply.startsWith('_')) break;
        }
      }
      if (random.chance(0.2)) await delay(random.below(4));
    }
  };

  /** Ends waits from outside. */
  const disturber = async (random: Random): Promise<void> => {
    while (arePushing) {
      const list = String(await control.client('LIST'));
      const lines = list.split('\n').filter((line) => / flags=\w*b/.test(line));
      for (const line of lines) {
        const id = /^id=(\d+)/.exec(line)![1]!;
        if (line.includes('cmd=blmove') && random.chance(0.1)) await control.client('KILL', 'ID', id);
        else if (waiting.has(id) && random.chance(0.02)) {
          await control.client('UNBLOCK', id, random.pick(['TIMEOUT', 'ERROR']) as 'ERROR');
        }
      }
      await delay(20);
    }
  };

  const saver = async (random: Random): Promise<void> => {
    while (arePushing) {
      await control.call(random.pick(['BGSAVE', 'BGREWRITEAOF'])).catch(() => {});
      await delay(50);
    }
  };

  const clients = [
    ...Array.from({ length: WAITERS }, (_, index) => waiter(new Random(seed + index))),
    ...Array.from({ length: MOVERS }, (_, index) => mover(new Random(seed + 1000 + index))),
    disturber(new Random(seed + 3000)),
    saver(new Random(seed + 3001)),
  ];
  await Promise.all(
    Array.from({ length: PUSHERS }, (_, index) => pusher(new Random(seed + 2000 + index), index)),
  );
  arePushing = false;
  // All have timeouts.
  await Promise.all(clients);
  t.same([...unexpected], [], `seed ${seed}`);

  let info = '';
  do info = await control.info('clients');
  while (/blocked_clients:[1-9]/.test(info) && (await delay(20, true)));
  t.match(info, /blocked_clients:0\r/);
  t.match(info, /clients_in_timeout_table:0\r/);
  t.match(info, /total_blocking_keys:0\r/);
  t.equal(await control.call('DEBUG', 'VERIFY').catch(String), 'OK', 'all shards are sound');

  const left = (await Promise.all([...QUEUES, ...DONE].map((key) => control.lrange(key, 0, -1)))).flat();
  const all = [...popped, ...left];
  t.equal(all.length, new Set(all).size, `given once, seed ${seed}`);
  t.equal(all.length, PUSHERS * ELEMENTS_PER_PUSHER, `nothing is lost, seed ${seed}`);
  t.ok(popped.length > 0 && timeouts > 0 && unblocked > 0 && broken > 0, 'all kinds of ends');
  t.comment(
    `popped ${popped.length}, left ${left.length}, ${timeouts} timeouts, ${unblocked} unblocked, ${broken} broken`,
  );

  const digest = await control.call('DEBUG', 'DIGEST');
  while (/aof_rewrite_in_progress:1|rdb_bgsave_in_progress:1/.test(await control.info('persistence')))
    await delay(20);
  t.equal(await control.call('DEBUG', 'LOADAOF').catch(String), 'OK');
  t.equal(
    await control.call('DEBUG', 'DIGEST'),
    digest,
    'the append-only file has what was done for those who waited',
  );
  await control.flushall();
  t.match(await control.info('memory'), /used_memory_dataset:0\r/, 'nothing is left behind');
  t.notMatch(server.stderr, /BUG REPORT/);
});

t.test('replies of other workers and messages do not mix', async (t) => {
  t.setTimeout(0);
  const CONSUMERS = 12;
  const ELEMENTS = 600;
  const MESSAGE = 'm'.repeat(300);
  const server = await TestServer.start({ kind: 'damselfly', threads: THREADS, activeWorkers: THREADS });
  t.teardown(() => server.stop('SIGKILL'));
  let isOver = false;
  /** Takes elements of its own queue, and is sent messages all the time. Returns how many of those it has got. */
  const consume = async (index: number): Promise<number> => {
    const client = await server.rawClient();
    await client.text('HELLO', '3');
    client.send('SUBSCRIBE', 'news');
    for (let element = 0; element < ELEMENTS; element++) {
      // Some requests come behind others.
      const isBehind = element % 5 === 0;
      if (isBehind) client.write(encodeCommand(['ECHO', 'before']));
      client.send('BLPOP', `own:${index}`, '0');
      const wanted = [...(isBehind ? ['$6\r\nbefore\r\n'] : []), elementReply(index, element)];
      for (const reply of wanted) {
        const text = (await client.read()).toString();
        if (text !== reply) throw new Error(`consumer ${index}, element ${element}: ${text.slice(0, 200)}`);
      }
    }
    const [subscribed, ...messages] = client.pushes.map(String);
    if (subscribed !== '>3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n') throw new Error(subscribed);
    const message = `>3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$300\r\n${MESSAGE}\r\n`;
    const other = messages.find((text) => text !== message);
    if (other !== undefined) throw new Error(other);
    await client.close();
    return messages.length;
  };
  const publish = async (): Promise<void> => {
    const client = await server.rawClient();
    while (!isOver) {
      await client.command('PUBLISH', 'news', MESSAGE);
      await delay(1);
    }
    await client.close();
  };
  const produce = async (index: number): Promise<void> => {
    const client = await server.rawClient();
    for (let element = 0; element < ELEMENTS; element++) {
      await client.command('RPUSH', `own:${index}`, elementText(index, element));
      if (element % 7 === 0) await delay(1);
    }
    await client.close();
  };
  const publishers = [publish(), publish()];
  const consumers = Array.from({ length: CONSUMERS }, (_, index) => consume(index));
  const [messages] = await Promise.all([
    Promise.all(consumers),
    ...Array.from({ length: CONSUMERS }, (_, index) => produce(index)),
  ]);
  isOver = true;
  await Promise.all(publishers);
  t.ok(Math.min(...messages) > 0);
  const admin = server.client();
  t.match(await admin.info('clients'), /\r\nblocked_clients:0\r\n/);
  t.match(await admin.info('commandstats'), `cmdstat_blpop:calls=${CONSUMERS * ELEMENTS},`);
});

function elementText(consumer: number, element: number): string {
  return `${consumer} ${element} ${'x'.repeat(element % 50 === 0 ? 40_000 : element % 40)}`;
}

function elementReply(consumer: number, element: number): string {
  const key = `own:${consumer}`;
  const text = elementText(consumer, element);
  return `*2\r\n$${key.length}\r\n${key}\r\n$${text.length}\r\n${text}\r\n`;
}
