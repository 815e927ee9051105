/** Who subscribes to what, against a Map; and by several threads at once. */

import { Worker } from 'node:worker_threads';
import t from 'tap';
import { ownHashSecret } from '../../src/memory/hash.js';
import { ChannelKind, ChannelRegistry } from '../../src/pubsub/channel-registry.js';
import { Random } from '../tools/random.js';

const WORKERS = 3;
const STRIPE_BYTES = 4 << 20;
const KINDS = [ChannelKind.Plain, ChannelKind.Shard, ChannelKind.Pattern, ChannelKind.Prefix];

const secret = ownHashSecret();

t.test('random steps', async (t) => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  const registry = new ChannelRegistry(ChannelRegistry.create(STRIPE_BYTES), WORKERS);
  const names = [
    '',
    'a',
    'a\0b',
    '*',
    'x'.repeat(500),
    ...Array.from({ length: 50 }, (_, i) => `channel:${i}`),
  ];
  /** By kind and name, subscribers by worker. */
  const model = new Map<string, number[]>();
  const idOf = (kind: ChannelKind, name: string) => `${kind} ${name}`;
  const check = (kind: ChannelKind, name: string) => {
    const bytes = Buffer.from(`--${name}`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const byWorker = model.get(idOf(kind, name)) ?? [0, 0, 0];
    const sum = byWorker[0]! + byWorker[1]! + byWorker[2]!;
    const count = registry.beginPublishing(kind, bytes, view, 2, bytes.length - 2, false);
    if (count !== sum) throw new Error(`${name}: ${count}, not ${sum}`);
    if (count > 0) {
      for (let worker = 0; worker < WORKERS; worker++) {
        if (registry.subscribersIn(worker) !== byWorker[worker]) throw new Error(`wrong count of ${name}`);
      }
    }
    registry.endPublishing();
    if (registry.subscribers(kind, bytes, view, 2, bytes.length - 2) !== sum)
      throw new Error(`wrong count of ${name}`);
    const isAny = [...model.keys()].some(
      (id) =>
        id.startsWith(`${kind} `) || (kind === ChannelKind.Plain && id.startsWith(`${ChannelKind.Pattern} `)),
    );
    if (registry.hasNobody(kind) === isAny) throw new Error(`somebody for ${kind}: ${isAny}`);
  };
  try {
    for (let step = 0; step < 10_000; step++) {
      const kind = random.pick(KINDS);
      const name = random.pick(names);
      const worker = random.below(WORKERS);
      const id = idOf(kind, name);
      const byWorker = model.get(id) ?? [0, 0, 0];
      const version = registry.patternVersion;
      if (random.chance(step % 4000 < 2400 ? 0.6 : 0.3)) {
        if (!registry.add(worker, kind, Buffer.from(name))) throw new Error('no memory');
        byWorker[worker]!++;
        model.set(id, byWorker);
        if (kind >= ChannelKind.Pattern) t.not(registry.patternVersion, version);
      } else if (byWorker[worker]! > 0) {
        registry.remove(worker, kind, Buffer.from(name));
        byWorker[worker]!--;
        if (byWorker.every((count) => count === 0)) model.delete(id);
      }
      check(kind, name);
      check(random.pick(KINDS), random.pick(names));
      if (step % 500 === 0) {
        registry.verify();
        for (const kind of KINDS) {
          const listed = new Map(
            registry.list(kind).map((channel) => [channel.name.toString(), [...channel.byWorker]]),
          );
          const known = [...model].filter(([id]) => id.startsWith(`${kind} `));
          if (listed.size !== known.length || registry.count(kind) !== known.length) throw new Error('list');
        }
      }
    }
    for (const [id, byWorker] of model) {
      const [kind, name] = [Number(id[0]), Buffer.from(id.slice(2))];
      byWorker.forEach((count, worker) => {
        for (; count > 0; count--) registry.remove(worker, kind, name);
      });
    }
    registry.verify();
    t.ok(registry.isEmpty);
    t.equal(registry.usedBytes, 0);
  } catch (error) {
    t.fail(`seed ${seed}: ${(error as Error).message}`);
  }
});

t.test('without memory nothing has changed', async (t) => {
  const registry = new ChannelRegistry(ChannelRegistry.create(512 * 1024), 1);
  const added: Buffer[] = [];
  for (let index = 0; ; index++) {
    const name = Buffer.from(`${index}`.padEnd(5000, '.'));
    if (!registry.add(0, ChannelKind.Plain, name)) break;
    added.push(name);
  }
  t.ok(added.length > 10);
  t.equal(registry.count(ChannelKind.Plain), added.length);
  registry.verify();
  for (const name of added) registry.remove(0, ChannelKind.Plain, name);
  t.equal(registry.usedBytes, 0);
});

t.test('threads that subscribe and leave at once', async (t) => {
  const handle = ChannelRegistry.create(STRIPE_BYTES);
  const code = `
    import { workerData } from 'node:worker_threads';
    const { setHashSecret } = await import(workerData.hash);
    const { ChannelRegistry } = await import(workerData.module);
    setHashSecret(workerData.secret);
    const registry = new ChannelRegistry(workerData.handle, 3);
    const { index } = workerData;
    const mine = [];
    for (let step = 0; step < 20000; step++) {
      if (mine.length < 30 && (step * 7919 + index) % 3 !== 0) {
        const kind = step % 4;
        const name = Buffer.from('channel:' + (step * 31) % 17);
        if (!registry.add(index, kind, name)) throw new Error('no memory');
        mine.push([kind, name]);
      } else if (mine.length > 0) {
        registry.remove(index, ...mine.splice((step * 13) % mine.length, 1)[0]);
      }
    }
    for (const [kind, name] of mine) registry.remove(index, kind, name);`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const module = new URL('../../src/pubsub/channel-registry.js', import.meta.url).href;
  const hash = new URL('../../src/memory/hash.js', import.meta.url).href;
  const threads = [0, 1, 2].map(
    (index) => new Worker(url, { workerData: { handle, index, module, hash, secret } }),
  );
  const codes = await Promise.all(
    threads.map((thread) => new Promise((resolve) => thread.on('error', resolve).on('exit', resolve))),
  );
  t.same(codes, [0, 0, 0]);
  const registry = new ChannelRegistry(handle, WORKERS);
  registry.verify();
  t.ok(registry.isEmpty);
  for (const kind of KINDS) t.equal(registry.count(kind), 0);
  t.equal(registry.usedBytes, 0);
});
