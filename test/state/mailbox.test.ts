import { Worker } from 'node:worker_threads';
import t from 'tap';
import { Mailbox, MessageKind } from '../../src/state/mailbox.js';
import { Random } from '../tools/random.js';

t.test('messages arrive in order and whole', async (t) => {
  let signals = 0;
  const handle = Mailbox.create(1024);
  const sender = new Mailbox(handle, () => {
    signals++;
  });
  const owner = new Mailbox(handle);
  t.ok(owner.isEmpty);
  t.ok(sender.send(MessageKind.MonitorLine, 2 ** 53 - 1, 1, -2, 3, Buffer.from('line')));
  t.ok(sender.send(MessageKind.Shutdown, 5));
  t.equal(signals, 1, 'a mailbox that is not empty is not signalled again');
  const got: unknown[] = [];
  const receive = (message: object): void => {
    got.push({ ...message });
  };
  t.equal(owner.drain(receive), 2);
  t.same(got, [
    {
      kind: 2,
      id: 2 ** 53 - 1,
      first: 1,
      second: -2,
      third: 3,
      payload: new Uint8Array(Buffer.from('line')),
    },
    { kind: 7, id: 5, first: 0, second: 0, third: 0, payload: new Uint8Array(0) },
  ]);
  t.ok(owner.isEmpty);
  t.equal(owner.drain(receive), 0);
  sender.send(MessageKind.Shutdown, 6);
  t.equal(signals, 2);
});

t.test('a full mailbox refuses and goes on', async (t) => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  const mailbox = new Mailbox(Mailbox.create(512));
  const expected: number[] = [];
  let sent = 0;
  let refused = 0;
  let wrong = 0;
  for (let round = 0; round < 20_000; round++) {
    if (random.below(4) < 3) {
      const payload = new Uint8Array(random.below(100)).fill(sent);
      if (mailbox.send(1, sent, payload.length, 0, 0, payload)) expected.push(sent++);
      else refused++;
    } else {
      mailbox.drain(({ id, first, payload }) => {
        if (id !== expected.shift() || payload.length !== first) wrong++;
        if (payload.some((byte) => byte !== (id & 255))) wrong++;
      });
      if (expected.length > 0) wrong++;
    }
  }
  t.equal(wrong, 0, `seed ${seed}`);
  t.ok(refused > 0);
  t.ok(sent > 5000);
  t.notOk(mailbox.send(1, 0, 0, 0, 0, new Uint8Array(1000)));
  t.throws(() => Mailbox.create(1000), RangeError);
});

t.test('nothing is lost between threads', async (t) => {
  const handle = Mailbox.create(4096);
  const code = `
    import { workerData } from 'node:worker_threads';
    const { Mailbox } = await import(workerData.module);
    const mailbox = new Mailbox(workerData.handle);
    const payload = new Uint8Array(64);
    for (let id = 0; id < workerData.count; ) {
      const bytes = payload.subarray(0, id % 60).fill(id);
      if (mailbox.send(workerData.index, id, bytes.length, 0, 0, bytes)) id++;
    }`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const module = new URL('../../src/state/mailbox.js', import.meta.url).href;
  const count = 20_000;
  const threads = [0, 1, 2].map((index) => new Worker(url, { workerData: { handle, index, module, count } }));
  const ended = threads.map((thread) => new Promise((resolve) => thread.on('exit', resolve)));
  const mailbox = new Mailbox(handle);
  const next = [0, 0, 0];
  let wrong = 0;
  let total = 0;
  while (total < 3 * count) {
    // The threads need this event loop to start; later it only ever sleeps until it is signalled.
    if (total === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    else mailbox.wait(60_000);
    total += mailbox.drain(({ kind, id, first, payload }) => {
      if (id !== next[kind]++ || payload.length !== first) wrong++;
      for (const byte of payload) if (byte !== (id & 255)) wrong++;
    });
  }
  await Promise.all(ended);
  t.equal(wrong, 0);
  t.same(next, [count, count, count]);
});
