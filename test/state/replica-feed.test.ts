import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { ReplicaFeed } from '../../src/state/replica-feed.js';

const replicas = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ descriptor: 100 + index, clientSlot: 10 + index }));

t.test('workers write while they are allowed to', async (t) => {
  const handle = ReplicaFeed.create();
  const [thread, worker, other] = [new ReplicaFeed(handle), new ReplicaFeed(handle), new ReplicaFeed(handle)];
  t.equal(worker.begin(), 0, 'not at first');
  t.equal(thread.allow([]), false);
  t.equal(thread.allow(replicas(9)), false, 'too many');
  t.equal(worker.isAllowed, false);
  t.equal(thread.allow(replicas(2)), true);
  t.equal(worker.isAllowed, true);
  t.equal(worker.begin(), 2);
  t.equal(other.begin(), 0, 'one at a time');
  t.same([worker.descriptor(1), worker.clientSlot(1), worker.writtenBytes(1)], [101, 11, 0]);
  worker.addWritten(0, 20);
  worker.addWritten(1, 20);
  worker.end(true);
  t.equal(other.begin(), 2);
  other.addWritten(0, 5);
  other.addWritten(1, 3);
  other.end(false);
  t.equal(worker.begin(), 0, 'what is left comes first');
  thread.forbid();
  t.same([thread.writtenBytes(0), thread.writtenBytes(1)], [25, 23]);
  thread.forbid();
  t.equal(thread.allow(replicas(1)), true);
  t.equal(thread.writtenBytes(0), 0);
  thread.forbid();
  t.equal(worker.begin(), 0);
});

t.test('nothing is written any more once it is forbidden', async (t) => {
  const handle = ReplicaFeed.create();
  const shared = new Int32Array(new SharedArrayBuffer(12));
  const code = `
    import { workerData } from 'node:worker_threads';
    const { ReplicaFeed } = await import(workerData.module);
    const feed = new ReplicaFeed(workerData.handle);
    const { shared } = workerData;
    while (Atomics.load(shared, 0) === 0) {
      if (feed.begin() === 0) continue;
      if (Atomics.add(shared, 1, 1) !== 0) throw new Error('two at a time');
      feed.addWritten(0, 1);
      Atomics.add(shared, 2, 1);
      Atomics.sub(shared, 1, 1);
      feed.end(true);
    }`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const module = new URL('../../src/state/replica-feed.js', import.meta.url).href;
  const ended = [0, 1].map(() => {
    const thread = new Worker(url, { workerData: { handle, shared, module } });
    return new Promise((resolve, reject) => thread.on('exit', resolve).on('error', reject));
  });
  const feed = new ReplicaFeed(handle);
  let seen = 0;
  let late = 0;
  for (let round = 0; round < 500; round++) {
    feed.allow(replicas(1));
    for (let turns = round % 4; turns > 0; turns--) await turn();
    feed.forbid();
    seen += feed.writtenBytes(0);
    if (Atomics.load(shared, 1) !== 0 || Atomics.load(shared, 2) !== seen) late++;
  }
  while (seen === 0) {
    feed.allow(replicas(1));
    await turn();
    feed.forbid();
    seen += feed.writtenBytes(0);
  }
  Atomics.store(shared, 0, 1);
  await Promise.all(ended);
  t.equal(late, 0);
  t.equal(shared[2], seen);
});
