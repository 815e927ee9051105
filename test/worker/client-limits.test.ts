/** The limits of clients by class, with connections that nobody is behind. */

import t, { type Test } from 'tap';
import { Config } from '../../src/config/config.js';
import { ClientRows } from '../../src/execution/client-rows.js';
import { NO_REQUEST } from '../../src/execution/request.js';
import { ClientClass, Session } from '../../src/execution/session.js';
import { Attention } from '../../src/memory/attention.js';
import { Connection } from '../../src/network/connection.js';
import { ReplyWriter } from '../../src/protocol/reply-writer.js';
import { SubscribedNames } from '../../src/pubsub/subscriptions.js';
import { ClientTable } from '../../src/state/client-table.js';
import { ServerCounter } from '../../src/state/command-statistics.js';
import { monotonicMs } from '../../src/system/clock.js';
import { ClientLimits } from '../../src/worker/client-limits.js';

const addresses = { peerAddress: () => '1.2.3.4:5', localAddress: () => '1.2.3.4:6' };
const KILOBYTES = new Uint8Array(256 * 1024);

type Kind = 'normal' | 'replica' | 'pubsub' | 'monitor';
const KINDS: readonly Kind[] = ['normal', 'replica', 'pubsub', 'monitor'];

/** A worker's clients and their limits. */
class Clients {
  readonly config = new Config();
  readonly table = new ClientTable(ClientTable.create(Attention.create(4), 64));
  readonly rows = new ClientRows(this.table, 0);
  readonly counters = new Float64Array(64);
  readonly connections = new Map<number, Connection>();
  readonly closed: Connection[] = [];
  readonly lines: string[] = [];
  readonly reply = new ReplyWriter();
  readonly limits: ClientLimits;
  private lastId = 0;

  constructor(directives: readonly (readonly [string, string])[]) {
    const failure = this.config.set(directives);
    if (failure !== null) throw new Error(failure);
    this.limits = new ClientLimits({
      worker: 0,
      config: this.config,
      clients: this.table,
      counters: this.counters,
      connections: this.connections,
      transport: { reply: this.reply, close: (connection) => this.close(connection) },
      log: (text) => this.lines.push(text),
      describeSlot: (slot) => `client ${this.table.id(slot)}`,
      describe: (session) => `client ${session.id}`,
      wakeWorker: () => {},
    });
  }

  private close(connection: Connection): void {
    this.closed.push(connection);
    connection.isClosed = true;
    this.limits.closed(connection);
    this.connections.delete((connection.session as Session).id);
  }

  open(kind: Kind, isAuthenticated = true): Connection {
    const id = ++this.lastId;
    const connection = new Connection(id, addresses);
    const session = new Session(id, connection, monotonicMs());
    session.authenticated = isAuthenticated;
    session.isReplica = kind === 'replica';
    session.subscribed = kind === 'pubsub' ? new SubscribedNames() : null;
    session.isMonitor = kind === 'monitor';
    connection.session = session;
    this.connections.set(id, connection);
    this.rows.open(session);
    this.limits.opened(connection, session);
    return connection;
  }

  /** Output that the client does not take. */
  keepsOutput(connection: Connection, lengthBytes: number): void {
    connection.queueOutput(KILOBYTES, 0, lengthBytes);
    this.limits.outputWaits(connection, connection.session as Session);
  }

  publish(connection: Connection): void {
    this.rows.publish(connection.session as Session, 0, 0);
  }
}

/** Which of one client of each kind are closed by what is done to each. */
function closedKinds(
  directives: readonly (readonly [string, string])[],
  act: (clients: Clients, connection: Connection) => void,
): string {
  const closed: string[] = [];
  for (const kind of KINDS) {
    const clients = new Clients(directives);
    const connection = clients.open(kind);
    act(clients, connection);
    if (clients.closed.length > 0) closed.push(kind);
  }
  return closed.join(' ');
}

t.test('the hard output limit is that of the class', async (t) => {
  const limit = (name: string, bytes: number) =>
    [
      ['client-output-buffer-limit', `normal 0 0 0 replica 0 0 0 pubsub 0 0 0 ${name} ${bytes} 0 0`],
      ['repl-backlog-size', '16384'],
    ] as const;
  const keeps = (lengthBytes: number) => (clients: Clients, connection: Connection) =>
    clients.keepsOutput(connection, lengthBytes);
  t.equal(closedKinds(limit('normal', 20_000), keeps(20_001)), 'normal monitor');
  t.equal(closedKinds(limit('normal', 20_000), keeps(20_000)), '');
  t.equal(closedKinds(limit('pubsub', 20_000), keeps(20_001)), 'pubsub');
  t.equal(closedKinds(limit('replica', 20_000), keeps(20_001)), 'replica');
  t.equal(closedKinds(limit('replica', 10_000), keeps(16_384)), '', 'a replica may lag by the backlog');
  t.equal(closedKinds(limit('replica', 10_000), keeps(16_385)), 'replica');
  t.equal(closedKinds(limit('normal', 0), keeps(200_000)), '');
});

t.test('replies that were just written count, and none of them is sent', async (t) => {
  const clients = new Clients([['client-output-buffer-limit', 'normal 1000 0 0']]);
  const connection = clients.open('normal');
  const session = connection.session as Session;
  clients.limits.beforeCommands(session);
  clients.reply.bulkBuffer(KILOBYTES.subarray(0, 900));
  clients.limits.afterCommands(connection, session);
  t.equal(clients.closed.length, 0);
  t.notOk(clients.limits.maySendPart(connection, session), 'replies to one read count together');
  clients.reply.bulkBuffer(KILOBYTES.subarray(0, 900));
  clients.limits.afterCommands(connection, session);
  t.equal(clients.closed.length, 1);
  t.equal(clients.reply.size, 0);
  t.equal(clients.counters[ServerCounter.OutputLimitDisconnections], 1);
  t.same(clients.lines, [
    'Client client 1 scheduled to be closed ASAP for overcoming of output buffer limits.',
  ]);
  const other = clients.open('pubsub');
  t.ok(clients.limits.maySendPart(other, other.session as Session) === false);
  clients.config.set([['client-output-buffer-limit', 'pubsub 0 0 0']]);
  clients.limits.configurationChanged();
  t.ok(clients.limits.maySendPart(other, other.session as Session));
});

/** Moves the monotonic clock on. */
function withClock(t: Test, run: (passMs: (milliseconds: number) => void) => void): void {
  const original = performance.now;
  let aheadMs = 0;
  performance.now = () => original.call(performance) + aheadMs;
  t.teardown(() => {
    performance.now = original;
  });
  run((milliseconds) => {
    aheadMs += milliseconds;
  });
}

t.test('the soft output limit is that of the class, and lasts', async (t) => {
  withClock(t, (passMs) => {
    for (const name of ['normal', 'replica', 'pubsub'] as const) {
      const directives = [
        ['client-output-buffer-limit', `normal 0 0 0 replica 0 0 0 pubsub 0 0 0 ${name} 0 1000 5`],
      ] as const;
      const closed = closedKinds(directives, (clients, connection) => {
        clients.keepsOutput(connection, 1000);
        clients.limits.tick(10_000);
        t.equal(clients.closed.length, 0);
        passMs(5100);
        clients.limits.tick(20_000);
      });
      t.equal(closed, name === 'normal' ? 'normal monitor' : name);
    }
    const clients = new Clients([['client-output-buffer-limit', 'normal 0 1000 5']]);
    const connection = clients.open('normal');
    clients.keepsOutput(connection, 1000);
    passMs(4000);
    connection.pendingOutputBytes = 999;
    clients.limits.tick(10_000);
    clients.keepsOutput(connection, 100);
    passMs(4000);
    clients.limits.tick(20_000);
    t.equal(clients.closed.length, 0, 'once below, the time begins anew');
    passMs(2000);
    clients.limits.tick(30_000);
    t.equal(clients.closed.length, 1);
    t.same(clients.lines, ['Client client 1 closed for overcoming of output buffer limits.']);
  });
});

t.test('timeout spares who listens, waits or reads', async (t) => {
  const idle = (clients: Clients) => clients.limits.tick(monotonicMs() + 11_000);
  t.equal(closedKinds([['timeout', '10']], idle), 'normal');
  t.equal(closedKinds([['timeout', '0']], idle), '');
  t.equal(closedKinds([['timeout', '12']], idle), '');
  const clients = new Clients([['timeout', '10']]);
  const blocked = clients.open('normal').session as Session;
  blocked.postponed = { command: {} as never, request: NO_REQUEST };
  const reading = clients.open('normal');
  reading.hasTakenOutput = true;
  const nowMs = monotonicMs();
  clients.limits.tick(nowMs + 11_000);
  t.equal(clients.closed.length, 0);
  clients.limits.tick(nowMs + 20_000);
  t.equal(clients.closed.length, 0, 'what was taken is an interaction');
  clients.limits.tick(nowMs + 22_000);
  t.same(clients.closed, [reading]);
});

t.test('the query buffer limit', async (t) => {
  const keeps = (lengthBytes: number) => (clients: Clients, connection: Connection) => {
    clients.limits.inputWaits(connection, connection.session as Session, lengthBytes);
    if (connection.isClosing) clients.closed.push(connection);
  };
  const directives = [['client-query-buffer-limit', '1mb']] as const;
  t.equal(closedKinds(directives, keeps(1 << 20)), '');
  t.equal(closedKinds(directives, keeps((1 << 20) + 1)), KINDS.join(' '));
});

t.test('maxmemory-clients spares replicas and NO-EVICT', async (t) => {
  const clients = new Clients([['maxmemory-clients', '150kb']]);
  const connections = KINDS.map((kind) => clients.open(kind));
  const spared = clients.open('normal');
  (spared.session as Session).noEvict = true;
  for (const connection of [...connections, spared]) {
    connection.queueOutput(KILOBYTES, 0, 100_000);
    clients.publish(connection);
  }
  clients.limits.evictClients();
  const killed = [...connections, spared].map((connection) =>
    clients.table.isKillRequested((connection.session as Session).clientSlot),
  );
  t.equal(killed.filter(Boolean).length, 2, 'of three that take 300 KB');
  t.notOk(killed[1], 'a replica');
  t.notOk(killed[4], 'NO-EVICT');
  t.equal(clients.lines.length, 2);
  t.match(clients.lines[0], /^Evicting client: client \d$/);
  t.equal(clients.counters[ServerCounter.EvictedClients], 2);
});

t.test('who has not authenticated has little output and input', async (t) => {
  const clients = new Clients([['requirepass', 'x']]);
  const stranger = clients.open('normal', false);
  const session = stranger.session as Session;
  t.equal(clients.table.unauthenticatedCount(), 1);
  clients.reply.bulkBuffer(KILOBYTES.subarray(0, 16_000));
  clients.limits.afterCommands(stranger, session);
  t.equal(clients.closed.length, 0);
  clients.reply.bulkBuffer(KILOBYTES.subarray(0, 1000));
  clients.limits.afterCommands(stranger, session);
  t.equal(clients.closed.length, 1, 'more than 16 KB at once');
  t.equal(clients.table.unauthenticatedCount(), 0);

  const slow = clients.open('normal', false);
  clients.keepsOutput(slow, 1024);
  t.notOk(slow.isClosed);
  clients.keepsOutput(slow, 1);
  t.ok(slow.isClosed, 'more than 1 KB that it does not take');

  const sender = clients.open('normal', false);
  clients.limits.inputWaits(sender, sender.session as Session, 65_536);
  t.notOk(sender.isClosing);
  clients.limits.inputWaits(sender, sender.session as Session, 65_537);
  t.ok(sender.isClosing);

  const friend = clients.open('normal');
  clients.limits.inputWaits(friend, friend.session as Session, 10_000_000);
  clients.keepsOutput(friend, 200_000);
  t.notOk(friend.isClosing || friend.isClosed);
});

t.test(
  'all that have not authenticated share a sum of memory, and hold up nobody who sends whole commands',
  async (t) => {
    const clients = new Clients([['requirepass', 'x']]);
    const filling: Connection[] = [];
    for (let index = 0; index < 17; index++) {
      const connection = clients.open('normal', false);
      filling.push(connection);
      clients.rows.publish(connection.session as Session, 1_000_000, 0);
    }
    const last = clients.open('normal', false);
    clients.limits.inputWaits(last, last.session as Session, 10);
    t.ok(last.isClosing, 'more than 16 MB');
    const whole = clients.open('normal', false);
    clients.limits.inputWaits(whole, whole.session as Session, 0);
    t.notOk(whole.isClosing);
    const friend = clients.open('normal');
    clients.limits.inputWaits(friend, friend.session as Session, 10);
    t.notOk(friend.isClosing);
    t.ok(clients.table.unauthenticatedBytes() > 17_000_000);
    for (const connection of filling) clients.rows.close(connection.session as Session);
    t.ok(clients.table.unauthenticatedBytes() < 17_000);
  },
);

t.test('who has not authenticated has a limited time, counted from when it had to', async (t) => {
  withClock(t, (passMs) => {
    const clients = new Clients([
      ['requirepass', 'x'],
      ['auth-timeout', '30'],
    ]);
    const stranger = clients.open('normal', false);
    const prompt = clients.open('normal', false);
    const friend = clients.open('normal');
    passMs(20_000);
    (prompt.session as Session).authenticated = true;
    clients.limits.afterCommands(prompt, prompt.session as Session);
    (friend.session as Session).authenticated = false;
    clients.limits.afterCommands(friend, friend.session as Session);
    passMs(11_000);
    clients.limits.tick(10_000);
    t.same(clients.closed, [stranger]);
    passMs(20_000);
    clients.limits.tick(20_000);
    t.same(clients.closed, [stranger, friend], 'after RESET');
    passMs(100_000);
    clients.limits.tick(30_000);
    t.equal(clients.closed.length, 2);

    clients.config.set([['auth-timeout', '0']]);
    const patient = clients.open('normal', false);
    passMs(1_000_000);
    clients.limits.tick(40_000);
    t.notOk(patient.isClosed);
    // No password is wanted any more.
    (patient.session as Session).authenticated = true;
    clients.limits.usersChanged();
    t.equal(clients.table.unauthenticatedCount(), 0);
  });
});

t.test('half of maxclients is for who has authenticated', async (t) => {
  withClock(t, (passMs) => {
    const clients = new Clients([
      ['requirepass', 'x'],
      ['maxclients', '10'],
      ['auth-timeout', '0'],
    ]);
    const strangers = Array.from({ length: 8 }, () => {
      passMs(10);
      return clients.open('normal', false);
    });
    clients.limits.tick(1000);
    t.equal(clients.closed.length, 0, 'not yet');
    passMs(2000);
    const late = clients.open('normal', false);
    clients.limits.tick(1001);
    t.same(clients.closed, strangers.slice(0, 4), 'the oldest');
    t.notOk(late.isClosed);
    // Those of another worker.
    clients.table.addMemory(1, 0, 0, 0);
    clients.table.assign((late.session as Session).clientSlot, 1);
    clients.table.setUnauthenticatedCount(1, 15);
    clients.limits.tick(1002);
    t.equal(clients.closed.length, 8, 'a quarter of all of them has a quarter of the half');
    t.equal(clients.connections.size, 1);
  });
});

t.test('classes', async (t) => {
  const clients = new Clients([]);
  const classes = KINDS.map((kind) => (clients.open(kind).session as Session).clientClass);
  t.same(classes, [ClientClass.Normal, ClientClass.Replica, ClientClass.PubSub, ClientClass.Normal]);
});
