import { Worker } from 'node:worker_threads';
import t from 'tap';
import { Attention } from '../../src/memory/attention.js';
import {
  ClientFigure,
  type ClientFilter,
  ClientFlag,
  ClientTable,
  ClientText,
  ClientWord,
} from '../../src/state/client-table.js';

const named = (id: number): string => `command${id}`;

t.test('a line of CLIENT LIST', async (t) => {
  const table = new ClientTable(ClientTable.create(Attention.create(4), 16));
  const slot = table.open(7, 1, 9, '127.0.0.1:4000', '127.0.0.1:6379', 10_000);
  t.equal(
    table.formatLine(slot, 12_500, named),
    'id=7 addr=127.0.0.1:4000 laddr=127.0.0.1:6379 fd=9 name= age=2 idle=2 flags=N db=0 sub=0 psub=0 ssub=0 ' +
      'multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r ' +
      'cmd=NULL user=default redir=-1 resp=2',
  );
  const words = table.wordBase(slot);
  const figures = table.figureBase(slot);
  table.words[words + ClientWord.Flags] = ClientFlag.Multi | ClientFlag.NoEvict | ClientFlag.Blocked;
  table.words[words + ClientWord.Database] = 3;
  table.words[words + ClientWord.Multi] = 2;
  table.words[words + ClientWord.LastCommandId] = 5;
  table.words[words + ClientWord.Protocol] = 3;
  table.figures[figures + ClientFigure.LastInteractionMs] = 12_000;
  table.figures[figures + ClientFigure.OutputMemory] = 100;
  table.figures[figures + ClientFigure.QueryBuffer] = 26;
  table.setText(slot, ClientText.Name, 'worker-é');
  table.setText(slot, ClientText.LibraryName, 'ioredis');
  table.setText(slot, ClientText.LibraryVersion, '6.0.0');
  t.equal(
    table.formatLine(slot, 12_500, named),
    'id=7 addr=127.0.0.1:4000 laddr=127.0.0.1:6379 fd=9 name=worker-é age=2 idle=0 flags=xbe db=3 sub=0 psub=0 ' +
      'ssub=0 multi=2 qbuf=26 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=100 tot-mem=0 ' +
      'events=rw cmd=command5 user=default redir=-1 resp=3 lib-name=ioredis lib-ver=6.0.0',
  );
  table.close(slot);
  t.equal(table.formatLine(slot, 12_500, named), '');
});

t.test('rows are reused and start empty; a full table says so', async (t) => {
  const table = new ClientTable(ClientTable.create(Attention.create(4), 3));
  const slots = [1, 2, 3].map((id) => table.open(id, 0, id, 'a', 'b', 0));
  t.same(new Set(slots).size, 3);
  t.equal(table.open(4, 0, 4, 'a', 'b', 0), -1);
  t.equal(table.count, 3);
  table.setText(slots[1], ClientText.Name, 'old');
  table.words[table.wordBase(slots[1]) + ClientWord.Flags] = ClientFlag.Multi;
  table.close(slots[1]);
  t.equal(table.count, 2);
  t.equal(table.open(5, 0, 5, 'a', 'b', 0), slots[1]);
  t.match(table.formatLine(slots[1], 0, named), /^id=5 .* name= .* flags=N /);
  t.same(
    table.select({}, 0).map((slot) => table.id(slot)),
    [1, 3, 5],
  );
});

t.test('filters', async (t) => {
  const table = new ClientTable(ClientTable.create(Attention.create(4), 8));
  const one = table.open(1, 0, 1, '1.1.1.1:1', '2.2.2.2:6379', 0);
  const two = table.open(2, 0, 2, '1.1.1.1:2', '2.2.2.2:6379', 0);
  const three = table.open(3, 1, 3, '1.1.1.1:3', '2.2.2.2:6380', 5000);
  table.words[table.wordBase(two) + ClientWord.Flags] = ClientFlag.PubSub;
  table.setText(three, ClientText.User, 'alice');
  t.same(table.select({ ids: new Set([3, 1, 9]) }, 0), [one, three]);
  t.same(table.select({ type: 'pubsub' }, 0), [two]);
  t.same(table.select({ type: 'normal' }, 0), [one, three]);
  t.same(table.select({ type: 'replica' }, 0), []);
  t.same(table.select({ address: '1.1.1.1:2' }, 0), [two]);
  t.same(table.select({ localAddress: '2.2.2.2:6379' }, 0), [one, two]);
  t.same(table.select({ user: 'alice' }, 0), [three]);
  t.same(table.select({ ageSecondsMin: 6 }, 6000), [one, two]);
  t.same(table.select({ skipId: 1, user: 'default' }, 0), [two]);
});

t.test('filters leave out what has one of the unwanted traits', async (t) => {
  const table = new ClientTable(ClientTable.create(Attention.create(4), 8));
  const one = table.open(1, 0, 1, '1.1.1.1:10', '2.2.2.2:6379', 0);
  const two = table.open(2, 0, 2, '[fe80::1]:20', '[fe80::2]:6379', 0);
  const three = table.open(3, 1, 3, '/tmp/socket:0', '/tmp/socket:0', 0);
  table.words[table.wordBase(two) + ClientWord.Flags] = ClientFlag.PubSub | ClientFlag.NoEvict;
  table.words[table.wordBase(three) + ClientWord.Flags] = ClientFlag.UnixSocket;
  table.words[table.wordBase(three) + ClientWord.Database] = 5;
  table.setText(one, ClientText.Name, 'n'.repeat(300));
  table.setText(two, ClientText.LibraryName, 'lib');
  table.setText(two, ClientText.LibraryVersion, '1.2');
  const figure = table.figureBase(one) + ClientFigure.LastInteractionMs;
  table.figures[figure] = 9000;
  const select = (filter: ClientFilter) => table.select(filter, 10_000);
  t.same(select({ not: { ids: new Set([1, 2]) } }), [three]);
  t.same(select({ ids: new Set([1, 2]), not: { ids: new Set([1]) } }), [two]);
  t.same(select({ not: { type: 'pubsub' } }), [one, three]);
  t.same(select({ ip: '1.1.1.1' }), [one]);
  t.same(select({ ip: 'fe80::1' }), [two]);
  t.same(select({ ip: 'fe80' }), []);
  t.same(select({ ip: '/tmp/socket' }), []);
  t.same(select({ not: { ip: '1.1.1.1' } }), [two, three]);
  t.same(select({ not: { ip: '1.1.1.1', type: 'pubsub' } }), [three]);
  t.same(select({ flags: 'P' }), [two]);
  t.same(select({ flags: 'eP' }), [two]);
  t.same(select({ flags: 'PU' }), []);
  t.same(select({ flags: 'N' }), [one]);
  t.same(select({ flags: 'NP' }), []);
  t.same(select({ not: { flags: 'N' } }), [two, three]);
  t.same(select({ name: 'n'.repeat(300) }), [one]);
  t.same(select({ name: '' }), []);
  t.same(select({ not: { name: 'n'.repeat(300) } }), [two, three]);
  t.same(select({ libraryName: 'lib', libraryVersion: '1.2' }), [two]);
  t.same(select({ libraryName: 'lib', libraryVersion: '1.3' }), []);
  t.same(select({ not: { libraryName: 'lib' } }), [one, three]);
  t.same(select({ not: { libraryVersion: '1.2' } }), [one, three]);
  t.same(select({ not: { address: '/tmp/socket:0' } }), [one, two]);
  t.same(select({ not: { localAddress: '/tmp/socket:0' } }), [one, two]);
  t.same(select({ database: 5 }), [three]);
  t.same(select({ database: 0 }), [one, two]);
  t.same(select({ not: { database: 0 } }), [three]);
  t.same(select({ capabilities: 'r' }), []);
  t.same(select({ not: { capabilities: 'r' } }), [one, two, three]);
  t.same(select({ idleSecondsMin: 1 }), [one, two, three]);
  t.same(select({ idleSecondsMin: 2 }), [two, three]);
  t.same(select({ not: { user: 'default' } }), []);
});

t.test('requests reach the owner once, and never the next client of a row', async (t) => {
  const table = new ClientTable(ClientTable.create(Attention.create(4), 4));
  const slot = table.open(1, 2, 1, '', '', 0);
  t.equal(table.requestKill(slot, 1), 2);
  t.equal(table.requestKill(slot, 99), -1);
  t.notOk(table.takeRequests(1));
  t.ok(table.takeRequests(2));
  t.notOk(table.takeRequests(2));
  t.ok(table.isKillRequested(slot));
  table.close(slot);
  t.equal(table.requestKill(slot, 1), -1);
  t.equal(table.open(2, 2, 1, '', '', 0), slot);
  t.notOk(table.isKillRequested(slot));
});

t.test('the wait of a client is claimed once, and never that of the next client of a row', async (t) => {
  const table = new ClientTable(ClientTable.create(Attention.create(4), 4));
  const slot = table.open(1, 2, 1, '', '', 0);
  t.notOk(table.claimWaitOf(slot, 1), 'it does not wait');
  const ticket = table.beginWait(slot);
  t.notOk(table.claimWaitOf(slot, 99));
  t.ok(table.claimWait(slot, ticket));
  t.notOk(table.claimWait(slot, ticket));
  t.notOk(table.claimWaitOf(slot, 1));
  const second = table.beginWait(slot);
  t.not(second, ticket);
  t.notOk(table.claimWait(slot, ticket));
  t.ok(table.claimWaitOf(slot, 1));
  const third = table.beginWait(slot);
  t.ok(table.claimWait(slot, third));
  table.close(slot);
  t.equal(table.open(2, 2, 1, '', '', 0), slot);
  const next = table.beginWait(slot);
  t.notOk([ticket, second, third].includes(next));
  t.notOk(table.claimWait(slot, third));
  t.ok(table.claimWait(slot, next));
});

t.test('one thread at a time may write to the socket of a client that waits', async (t) => {
  const handle = ClientTable.create(Attention.create(4), 4);
  const table = new ClientTable(handle);
  const slot = table.open(1, 2, 1, '', '', 0);
  /** A client waits, and another thread has served it. */
  const serve = (allowedFd: number): number => {
    const ticket = table.beginWait(slot);
    if (allowedFd >= 0) table.allowDirectReply(slot, allowedFd);
    t.ok(table.claimWait(slot, ticket));
    return ticket;
  };
  t.equal(table.beginDirectReply(slot, serve(-1)), -1, 'not allowed');
  const ticket = serve(0);
  t.equal(table.beginDirectReply(slot, ticket), 0);
  t.equal(table.beginDirectReply(slot, ticket), -1);
  table.endDirectReply(slot);
  t.ok(table.forbidDirectReply(slot));
  t.ok(table.forbidDirectReply(slot), 'it has been replied to for good');
  t.equal(table.beginDirectReply(slot, ticket), -1);
  table.beginWait(slot);
  t.notOk(table.forbidDirectReply(slot), 'another wait');
  const forbidden = serve(77);
  t.notOk(table.forbidDirectReply(slot));
  t.equal(table.beginDirectReply(slot, forbidden), -1, 'not allowed any more');
  const late = serve(78);
  table.close(slot);
  t.equal(table.open(2, 2, 1, '', '', 0), slot);
  t.equal(table.beginDirectReply(slot, late), -1, 'another client');
  const next = serve(79);
  t.equal(table.beginDirectReply(slot, late), -1, 'another client that waits');
  t.equal(table.beginDirectReply(slot, next), 79, 'which may still be replied to');
  table.endDirectReply(slot);
  // Whoever forbids it waits until the other thread has done.
  const served = serve(80);
  const state = new Int32Array(new SharedArrayBuffer(4));
  const code = `
    import { workerData } from 'node:worker_threads';
    const { ClientTable } = await import(workerData.module);
    const table = new ClientTable(workerData.handle);
    if (table.beginDirectReply(workerData.slot, workerData.ticket) !== 80) throw new Error('not allowed');
    Atomics.store(workerData.state, 0, 1);
    Atomics.notify(workerData.state, 0);
    Atomics.wait(workerData.state, 0, 1, 50);
    Atomics.store(workerData.state, 0, 2);
    table.endDirectReply(workerData.slot);`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const module = new URL('../../src/state/client-table.js', import.meta.url).href;
  const thread = new Worker(url, { workerData: { handle, slot, ticket: served, state, module } });
  const ended = new Promise((resolve, reject) => thread.on('exit', resolve).on('error', reject));
  while (Atomics.load(state, 0) === 0) await new Promise((resolve) => setImmediate(resolve));
  t.ok(table.forbidDirectReply(slot));
  t.equal(Atomics.load(state, 0), 2);
  await ended;
});

t.test('no thread ever sees a torn row', async (t) => {
  const handle = ClientTable.create(Attention.create(4), 8);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const code = `
    import { workerData } from 'node:worker_threads';
    const { ClientTable } = await import(workerData.module);
    const table = new ClientTable(workerData.handle);
    for (let round = 0; Atomics.load(workerData.stop, 0) === 0; round++) {
      const id = round * 2 + workerData.index;
      const text = String(id % 10).repeat(50);
      const slot = table.open(id, workerData.index, id, text, text, 0);
      if (slot < 0) throw new Error('no row');
      table.setText(slot, 2, text);
      table.close(slot);
    }`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const module = new URL('../../src/state/client-table.js', import.meta.url).href;
  const threads = [0, 1].map((index) => new Worker(url, { workerData: { handle, stop, index, module } }));
  const ended = threads.map(
    (thread) =>
      new Promise((resolve, reject) => {
        thread.on('exit', resolve);
        thread.on('error', reject);
      }),
  );
  const table = new ClientTable(handle);
  let seen = 0;
  let torn = '';
  for (let tries = 0; seen < 2000 && tries < 1_000_000; tries++) {
    await new Promise((resolve) => setImmediate(resolve));
    for (let slot = 0; slot < 8; slot++) {
      const line = table.formatLine(slot, 0, named);
      if (line === '') continue;
      seen++;
      const [, id, address, local, fd, name] =
        /^id=(\d+) addr=(\d+) laddr=(\d+) fd=(\d+) name=(\d*) /.exec(line) ?? [];
      const text = String(Number(id) % 10).repeat(50);
      if (address !== text || local !== text || fd !== id || (name !== '' && name !== text)) torn = line;
    }
  }
  Atomics.store(stop, 0, 1);
  await Promise.all(ended);
  t.equal(torn, '');
  t.ok(seen > 0);
  t.equal(table.count, 0);
});
