/** The sockets of tls-port, as the acceptor offers them and the threads for handshakes follow. */

import { Worker } from 'node:worker_threads';
import t from 'tap';
import { TlsListeners } from '../../src/network/tls/tls-listeners.js';

const MODULE = new URL('../../src/network/tls/tls-listeners.js', import.meta.url).href;

/** Follows what is offered, some time later, until nothing is. */
const FOLLOWER = `
import { workerData } from 'node:worker_threads';
const { module, buffer, index, stop } = workerData;
const { TlsListeners } = await import(module);
const listeners = new TlsListeners(buffer);
let followed = 0;
while (Atomics.load(stop, 0) === 0) {
  const { version } = listeners;
  if (version !== followed) {
    Atomics.wait(stop, 0, 0, 20);
    // What it lets go of, it has not used since.
    Atomics.store(stop, 1 + index, version);
    listeners.follow(index, version);
    followed = version;
  }
  Atomics.wait(stop, 0, 0, 1);
}
`;

t.test('sockets are closed when all running threads have let go of them', async (t) => {
  const THREADS = 3;
  const buffer = TlsListeners.create(THREADS);
  const listeners = new TlsListeners(buffer);
  t.same(listeners.descriptors(), []);
  listeners.offer([7, 8]);
  // No thread runs: nobody is waited for.
  listeners.awaitFollowers();
  t.same(listeners.descriptors(), [7, 8]);
  const stop = new Int32Array(new SharedArrayBuffer(4 * (1 + THREADS)));
  const url = new URL(`data:text/javascript,${encodeURIComponent(FOLLOWER)}`);
  // The last one is never started.
  const threads = [0, 1].map(
    (index) => new Worker(url, { workerData: { module: MODULE, buffer, index, stop } }),
  );
  while (Atomics.load(stop, 1) === 0 || Atomics.load(stop, 2) === 0)
    await new Promise((resolve) => setTimeout(resolve, 1));
  for (let count = 0; count < 5; count++) {
    listeners.offer(Array.from({ length: count }, (_, index) => 10 * count + index));
    listeners.awaitFollowers();
    t.same([stop[1], stop[2]], [listeners.version, listeners.version]);
  }
  t.same(listeners.descriptors(), [40, 41, 42, 43]);
  Atomics.store(stop, 0, 1);
  await Promise.all(threads.map((thread) => new Promise((resolve) => thread.once('exit', resolve))));
});

t.test('more sockets than there is room for are refused', async (t) => {
  const listeners = new TlsListeners(TlsListeners.create(1));
  t.throws(() => listeners.offer(Array.from({ length: 65 }, (_, index) => index)), /too many addresses/);
});
