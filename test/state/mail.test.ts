/** Messages between threads: order, bounds, memory; nothing is lost or comes twice. */

import { Worker } from 'node:worker_threads';
import t from 'tap';
import { Attention } from '../../src/memory/attention.js';
import { CONGESTED_BYTES, Mail, MessageKind } from '../../src/state/mail.js';
import { Outbox } from '../../src/state/outbox.js';
import { Random } from '../tools/random.js';

const WORKERS = 3;

t.test('messages arrive in order and whole', async (t) => {
  const woken: number[] = [];
  const mail = new Mail(Mail.create(Attention.create(WORKERS), WORKERS, 1 << 20), (worker) =>
    woken.push(worker),
  );
  t.ok(mail.isEmpty(1));
  const line = Buffer.from('a line in the midst');
  t.ok(mail.send(1, MessageKind.MonitorLines, 2 ** 53 - 1, 1, -2, 3, line, 2, 6));
  t.ok(mail.send(1, MessageKind.Connection, 5));
  t.same(woken, [1], 'a worker that is woken already is not woken again');
  t.notOk(mail.isEmpty(1));
  t.ok(mail.isEmpty(0));
  const got: unknown[] = [];
  const take = (worker: number) =>
    mail.drain(worker, ({ kind, id, first, second, third, bytes, offset, length }) => {
      got.push([
        kind,
        id,
        first,
        second,
        third,
        Buffer.from(bytes.slice(offset, offset + length)).toString(),
      ]);
    });
  t.equal(take(1), 2);
  t.same(got, [
    [1, 2 ** 53 - 1, 1, -2, 3, 'line'],
    [2, 5, 0, 0, 0, ''],
  ]);
  t.ok(mail.isEmpty(1));
  t.equal(take(1), 0);
  mail.send(1, MessageKind.Connection, 6);
  t.same(woken, [1, 1]);
  take(1);
  mail.verify();
});

t.test('nothing overtakes what is being received', async (t) => {
  const mail = new Mail(Mail.create(Attention.create(WORKERS), WORKERS, 1 << 20), () => {});
  mail.send(0, MessageKind.Purge, 1);
  t.throws(() => mail.drain(0, () => mail.drain(0, () => {})), /taken while others are being received/);
});

t.test('whoever is told of congestion is woken when it is over', async (t) => {
  const woken: number[] = [];
  const mail = new Mail(Mail.create(Attention.create(WORKERS), WORKERS, 64 << 20), (worker) =>
    woken.push(worker),
  );
  const outbox = new Outbox(mail);
  const payload = new Uint8Array(1 << 20);
  t.notOk(outbox.isCongested(2));
  for (let sent = 0; sent <= CONGESTED_BYTES; sent += payload.length) outbox.send(2, 1, 0, 0, 0, 0, payload);
  t.ok(outbox.isCongested(2));
  t.notOk(outbox.isCongested(1));
  woken.length = 0;
  mail.drain(2, () => {});
  t.same(woken.sort(), [0, 1]);
  t.notOk(outbox.isCongested(2));
  woken.length = 0;
  mail.drain(2, () => {});
  t.same(woken, [], 'once');
});

t.test('what has no room waits and comes in order', async (t) => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  const mail = new Mail(Mail.create(Attention.create(WORKERS), WORKERS, 1 << 20), () => {});
  const outbox = new Outbox(mail);
  const expected: number[][] = [[], [], []];
  let waited = 0;
  let wrong = 0;
  const drain = (worker: number) =>
    mail.drain(worker, ({ id, first, bytes, offset, length }) => {
      if (id !== expected[worker]!.shift() || length !== first) wrong++;
      for (let at = offset; at < offset + length; at += 97) if (bytes[at] !== (id & 255)) wrong++;
    });
  for (let id = 0; id < 20_000; id++) {
    const worker = random.below(WORKERS);
    const payload = new Uint8Array(random.below(random.pick([10, 1000, 40_000]))).fill(id);
    outbox.send(worker, 1, id, payload.length, 0, 0, payload);
    expected[worker]!.push(id);
    if (outbox.isCongested(worker)) waited++;
    if (random.chance(0.05)) {
      drain(random.below(WORKERS));
      outbox.flush();
    }
  }
  while (expected.some((ids) => ids.length > 0)) {
    for (let worker = 0; worker < WORKERS; worker++) drain(worker);
    outbox.flush();
  }
  t.equal(wrong, 0, `seed ${seed}`);
  t.ok(waited > 0);
  mail.verify();
  t.equal(mail.usedBytes, 0);
});

t.test('nothing is lost between threads', async (t) => {
  const handle = Mail.create(Attention.create(WORKERS), 1, 1 << 20);
  const code = `
    import { workerData } from 'node:worker_threads';
    const { Mail } = await import(workerData.module);
    const mail = new Mail(workerData.handle, () => {});
    for (let id = 0; id < workerData.count; ) {
      const bytes = new Uint8Array(id % 60).fill(id);
      if (mail.send(0, workerData.index, id, bytes.length, 0, 0, bytes)) id++;
    }`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const module = new URL('../../src/state/mail.js', import.meta.url).href;
  const count = 20_000;
  const threads = [0, 1, 2].map((index) => new Worker(url, { workerData: { handle, index, module, count } }));
  const ended = threads.map((thread) => new Promise((resolve) => thread.on('exit', resolve)));
  const mail = new Mail(handle, () => {});
  const next = [0, 0, 0];
  let wrong = 0;
  for (let total = 0; total < 3 * count; ) {
    // The threads need this event loop to start.
    await new Promise((resolve) => setImmediate(resolve));
    total += mail.drain(0, ({ kind, id, first, bytes, offset, length }) => {
      if (id !== next[kind]!++ || length !== first) wrong++;
      for (let at = offset; at < offset + length; at++) if (bytes[at] !== (id & 255)) wrong++;
    });
  }
  await Promise.all(ended);
  t.equal(wrong, 0);
  t.same(next, [count, count, count]);
  t.equal(mail.pendingBytes(0), 0);
  mail.verify();
});
