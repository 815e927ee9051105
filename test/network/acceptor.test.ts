/** The acceptor spreads connections evenly, with made-up system calls. */

import t from 'tap';
import { Attention } from '../../src/memory/attention.js';
import { type AcceptorOptions, runAcceptor } from '../../src/network/acceptor.js';
import { AcceptorControl } from '../../src/network/acceptor-control.js';
import { TlsListeners } from '../../src/network/tls/tls-listeners.js';
import { WorkerChannel } from '../../src/network/worker-channel.js';
import { ControlBlock } from '../../src/state/control-block.js';
import { WorkerLoad } from '../../src/state/worker-load.js';
import type { Libc } from '../../src/system/libc.js';

const WAKE_FD = 3;
const ROUNDS = 50;

t.test('no worker has more than its share and one, in bursts and after others have left', async (t) => {
  const workers = Array.from({ length: 4 }, () => WorkerChannel.create(-1, null));
  let waiting = 0;
  let nextFd = 100;
  let round = 0;
  let seed = 99;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 16) % below;
  };
  const counts = () => workers.map((worker) => worker.connections);
  let control: AcceptorControl;
  const libc = {
    addressOf: () => 0,
    setOption: () => 0,
    write: () => 0,
    close: () => 0,
    errno: () => 11,
    accept: () => (waiting-- > 0 ? nextFd++ : -1),
    poll: () => {
      for (const worker of workers) while (worker.shift() >= 0);
      const now = counts();
      const total = now.reduce((sum, count) => sum + count, 0);
      // A burst larger than what had left makes up for any difference.
      if (round > 0)
        t.ok(Math.max(...now) <= Math.ceil(total / now.length) + 1, `round ${round}: ${now.join(' ')}`);
      if (round++ === ROUNDS) {
        control.stop();
        return 0;
      }
      let gone = 0;
      for (const worker of workers) {
        for (let left = random(5); left > 0 && worker.connections > 0; left--) {
          worker.connectionClosed();
          gone++;
        }
      }
      waiting = 16 + gone + random(100);
      return 1;
    },
  } as unknown as Libc;
  control = AcceptorControl.create(WAKE_FD, libc);
  control.setLimits(10_000, 300);
  const options: AcceptorOptions = {
    sockets: [{ fd: 10, isUnix: true, isTls: false, description: 'made up' }],
    listen: { bind: [], port: 0, tlsPort: 0 },
    backlog: 1,
    control: control.buffer,
    workerLoad: WorkerLoad.create(workers.length),
    tlsListeners: TlsListeners.create(0),
    processControl: ControlBlock.create(Attention.create(1)),
    logFile: '',
  };
  // Readiness is in the array of struct pollfd, which the made-up poll can't see: all are ready at all times.
  const original = DataView.prototype.getInt16;
  DataView.prototype.getInt16 = function (offset, littleEndian) {
    return offset === 6 ? 1 : original.call(this, offset, littleEndian);
  };
  t.teardown(() => {
    DataView.prototype.getInt16 = original;
  });
  await runAcceptor(libc, control, options, workers, []);
  t.equal(round, ROUNDS + 1);
});
