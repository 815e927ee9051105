/** Everything that workers have to see to raises their attention, and what does not concern them does not. */

import t from 'tap';
import { Attention } from '../../src/memory/attention.js';
import { LockOrder } from '../../src/memory/lock-order.js';
import { AppendOnlyState } from '../../src/state/append-only-state.js';
import { ClientTable } from '../../src/state/client-table.js';
import { ControlBlock, PauseKind } from '../../src/state/control-block.js';
import { Mail, MessageKind } from '../../src/state/mail.js';
import { PersistenceState, SnapshotPurpose } from '../../src/state/persistence-state.js';
import { LinkState, ReplicationState } from '../../src/state/replication-state.js';
import { SharedConfig } from '../../src/state/shared-config.js';
import { SharedLines } from '../../src/state/shared-lines.js';

const WORKERS = 3;
const handle = Attention.create(WORKERS);
const attention = new Attention(handle);

function versions(): number[] {
  return Array.from({ length: WORKERS }, (_, worker) => attention.version(worker));
}

/** The workers whose attention something has raised. */
function raisedBy(action: () => void): number[] {
  const before = versions();
  action();
  const after = versions();
  return [...before.keys()].filter((worker) => after[worker] !== before[worker]);
}

const ALL = [0, 1, 2];

t.test('one worker, or all', async (t) => {
  t.same(
    raisedBy(() => attention.raise(1)),
    [1],
  );
  t.same(
    raisedBy(() => attention.raiseAll()),
    ALL,
  );
  t.same(
    raisedBy(() => {}),
    [],
  );
});

t.test('settings, users and pauses', async (t) => {
  const config = new SharedConfig(SharedConfig.create(handle));
  t.same(
    raisedBy(() => config.publish('{}')),
    ALL,
  );
  t.same(
    raisedBy(() => config.update(() => '{"a":1}')),
    ALL,
  );
  const users = new SharedLines(SharedLines.create(4096, handle));
  t.same(
    raisedBy(() => users.replace(['user default on'])),
    ALL,
  );
  const change = (lines: readonly string[] | null): (() => boolean) => {
    return () =>
      users.update(
        () => {},
        () => lines,
        () => [],
      );
  };
  t.same(raisedBy(change(['user a on'])), ALL);
  t.same(raisedBy(change(null)), []);
  const control = new ControlBlock(ControlBlock.create(handle));
  t.same(
    raisedBy(() => control.pause(100, PauseKind.Write, 0)),
    ALL,
  );
  t.same(
    raisedBy(() => control.pauseKind(50)),
    [],
  );
  t.same(
    raisedBy(() => control.pauseKind(150)),
    ALL,
    'a pause that is over ends',
  );
  t.same(
    raisedBy(() => control.unpause()),
    ALL,
  );
  t.same(
    raisedBy(() => control.addMonitors(1, 1)),
    ALL,
  );
  t.same(
    raisedBy(() => control.addBlockedClients(1)),
    [],
  );
});

t.test('a new generation of pauses is not seen before the attention is raised', async (t) => {
  const control = new ControlBlock(ControlBlock.create(handle));
  const order: string[] = [];
  const add = Atomics.add;
  t.teardown(() => {
    Atomics.add = add;
  });
  Atomics.add = ((words: Int32Array, index: number, delta: number) => {
    order.push(words.buffer === handle ? 'attention' : 'generation');
    return add(words, index, delta);
  }) as typeof Atomics.add;
  control.pause(100, PauseKind.All, 0);
  t.same(order, ['attention', 'attention', 'attention', 'generation']);
});

t.test('what goes wrong, and which role the server has', async (t) => {
  const persistence = new PersistenceState(PersistenceState.create(handle));
  t.same(
    raisedBy(() => persistence.beginLoading(0)),
    ALL,
  );
  t.same(
    raisedBy(() => persistence.endLoading()),
    ALL,
  );
  t.same(
    raisedBy(() => persistence.noteSaved(0)),
    [],
    'a save that went well, as the one before',
  );
  const fail = (isGood: boolean) => (): void => {
    persistence.reserve(SnapshotPurpose.Save);
    persistence.start(0, 0, 0);
    persistence.finish(isGood);
  };
  t.same(raisedBy(fail(false)), ALL);
  t.ok(persistence.hasFailed);
  t.same(raisedBy(fail(false)), []);
  t.same(raisedBy(fail(true)), ALL);
  const appendOnly = new AppendOnlyState(AppendOnlyState.create(handle));
  const setError = (errno: number) => (): void => {
    appendOnly.writeError = errno;
  };
  t.same(raisedBy(setError(28)), ALL);
  t.same(raisedBy(setError(28)), []);
  t.same(raisedBy(setError(0)), ALL);
  const replication = new ReplicationState(ReplicationState.create(handle));
  t.same(
    raisedBy(() => {
      replication.isReplica = true;
    }),
    ALL,
  );
  t.same(
    raisedBy(() => {
      replication.linkState = LinkState.Connected;
    }),
    ALL,
  );
  const order = new LockOrder(LockOrder.create(handle));
  t.same(
    raisedBy(() => order.addSlowScripts(1)),
    ALL,
  );
});

t.test('what concerns one worker raises its attention', async (t) => {
  const mail = new Mail(Mail.create(handle, WORKERS, 1 << 20), () => {});
  const send = (worker: number) => (): boolean => mail.send(worker, MessageKind.Purge, 1);
  t.same(raisedBy(send(2)), [2]);
  t.same(raisedBy(send(2)), [], 'it has not looked since');
  mail.drain(2, () => {});
  t.same(raisedBy(send(2)), [2]);
  const clients = new ClientTable(ClientTable.create(handle, 4));
  const slot = clients.open(7, 1, 9, '127.0.0.1:1', '127.0.0.1:2', 0);
  t.same(
    raisedBy(() => clients.requestKill(slot, 7)),
    [1],
  );
  t.same(
    raisedBy(() => clients.requestKill(slot, 8)),
    [],
    'the client has gone',
  );
});
