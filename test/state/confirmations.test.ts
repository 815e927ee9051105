import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { Confirmations, NO_ENTRY } from '../../src/state/confirmations.js';

t.test('clients are replied to once enough replicas have confirmed', async (t) => {
  const handle = Confirmations.create();
  const [worker, thread] = [new Confirmations(handle), new Confirmations(handle)];
  const written: string[] = [];
  const woken: number[] = [];
  const serve = (confirmed: (offset: number) => number): number =>
    thread.serve(
      confirmed,
      (descriptor, replicas) => written.push(`${descriptor}: ${replicas}`) && 4,
      (index) => woken.push(index),
    );
  const big = 2 ** 40 + 5;
  const entries = [
    worker.begin(0, 50, 1, 100),
    worker.begin(1, 51, 2, 100),
    worker.begin(1, 52, 1, big),
    worker.begin(2, 53, 2 ** 50, 100),
  ];
  t.equal(new Set(entries).size, 4);
  t.equal(
    serve((offset) => (offset === 100 ? 1 : 0)),
    1,
  );
  t.same(written, ['50: 1']);
  t.same(woken, [0]);
  t.same(
    entries.map((entry) => worker.isServed(entry)),
    [true, false, false, false],
  );
  t.equal(worker.end(entries[0]!), true);
  t.same([worker.confirmed(entries[0]!), worker.writtenBytes(entries[0]!)], [1, 4]);
  worker.release(entries[0]!);
  t.equal(worker.end(entries[1]!), false);
  t.equal(
    serve((offset) => (offset === big ? 3 : 2)),
    1,
    'nobody replies to a client that its worker has gone on with, or that waits for more',
  );
  t.same(written.slice(1), ['52: 3']);
  worker.release(entries[1]!);
  t.equal(worker.begin(3, 60, 1, 0), entries[0], 'an entry is used again');
});

t.test('if there is no entry, the worker replies', async (t) => {
  const confirmations = new Confirmations(Confirmations.create());
  const entries = new Set<number>();
  for (let entry = confirmations.begin(0, 1, 1, 1); entry !== NO_ENTRY; ) {
    entries.add(entry);
    entry = confirmations.begin(0, 1, 1, 1);
  }
  t.equal(entries.size, 256);
  confirmations.end(77);
  confirmations.release(77);
  t.equal(confirmations.begin(0, 1, 1, 1), 77);
});

t.test('each client gets one reply, from its worker or from the replication thread', async (t) => {
  const handle = Confirmations.create();
  const shared = new Int32Array(new SharedArrayBuffer(8));
  // A worker whose clients stop waiting now and then; it counts those that were replied to.
  const code = `
    import { workerData } from 'node:worker_threads';
    const { Confirmations } = await import(workerData.module);
    const confirmations = new Confirmations(workerData.handle);
    let replied = 0;
    for (let round = 0; round < 20000; round++) {
      const entry = confirmations.begin(workerData.index, 7, 1, round);
      for (let spin = round % 50; spin > 0 && !confirmations.isServed(entry); spin--);
      if (confirmations.end(entry)) {
        replied++;
        if (confirmations.confirmed(entry) !== 1 || confirmations.writtenBytes(entry) !== 4) throw new Error('torn');
      }
      confirmations.release(entry);
    }
    Atomics.add(workerData.shared, 0, replied);
    Atomics.add(workerData.shared, 1, 1);`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const module = new URL('../../src/state/confirmations.js', import.meta.url).href;
  const ended = [0, 1].map((index) => {
    const thread = new Worker(url, { workerData: { handle, shared, module, index } });
    return new Promise((resolve, reject) => thread.on('exit', resolve).on('error', reject));
  });
  const confirmations = new Confirmations(handle);
  let served = 0;
  let writes = 0;
  while (Atomics.load(shared, 1) < 2) {
    const count = confirmations.serve(
      () => 1,
      () => {
        writes++;
        return 4;
      },
      () => {},
    );
    served += count;
    if (count === 0) await turn();
  }
  await Promise.all(ended);
  t.ok(served > 0);
  t.equal(writes, served);
  t.equal(shared[0], served);
});
