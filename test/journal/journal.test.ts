import { Worker } from 'node:worker_threads';
import t from 'tap';
import { Journal } from '../../src/journal/journal.js';
import { commandBytes, JournalRequest, JournalRing } from '../../src/journal/journal-ring.js';
import { Random } from '../tools/random.js';

/** Takes all that is in the ring, in pieces of at most `pieceBytes`. */
function takeAll(ring: JournalRing, pieceBytes = 1 << 20): string {
  let text = '';
  for (;;) {
    const piece = ring.peek(pieceBytes);
    if (piece.length === 0) return text;
    text += Buffer.from(piece).toString('latin1');
    ring.taken(piece.length);
  }
}

function resp(...commands: readonly (readonly string[])[]): string {
  return commands.map((words) => Buffer.from(commandBytes(...words)).toString('latin1')).join('');
}

/** The commands of a text in RESP; throws if it is anything else. Timestamps are left out. */
function parse(text: string): string[][] {
  const commands: string[][] = [];
  let at = 0;
  const line = (): string => {
    const end = text.indexOf('\r\n', at);
    if (end < 0) throw new Error(`no line at ${at}`);
    const found = text.slice(at, end);
    at = end + 2;
    return found;
  };
  while (at < text.length) {
    const head = line();
    if (/^#TS:\d+$/.test(head)) continue;
    if (!/^\*\d+$/.test(head)) throw new Error(`${JSON.stringify(head)} before ${at} begins no command`);
    commands.push(
      Array.from({ length: Number(head.slice(1)) }, () => {
        const length = Number(line().slice(1));
        const word = text.slice(at, at + length);
        at += length;
        if (line() !== '') throw new Error(`an argument before ${at} is not closed`);
        return word;
      }),
    );
  }
  return commands;
}

function record(journal: Journal, database: number, ...words: readonly string[]): void {
  journal.begin(database, words.length);
  for (const word of words) journal.word(word);
}

function newRing(ringBytes = 1024): { ring: JournalRing; journal: Journal } {
  const handle = JournalRing.create(ringBytes);
  return { ring: new JournalRing(handle), journal: new Journal(handle, 0) };
}

t.test('databases and transactions', async (t) => {
  const { ring, journal } = newRing();
  t.notOk(journal.isOn);
  ring.turnOn();
  t.ok(journal.isOn);
  journal.commit(true);
  t.equal(takeAll(ring), '', 'nothing is recorded: nothing is written');
  record(journal, 0, 'INCR', 'a');
  journal.commit(true);
  t.equal(takeAll(ring), resp(['SELECT', '0'], ['INCR', 'a']));
  record(journal, 0, 'INCR', 'b');
  journal.commit(true);
  t.equal(takeAll(ring), resp(['INCR', 'b']), 'the database is the same');
  record(journal, 12, 'INCR', 'a');
  record(journal, 12, 'INCR', 'b');
  journal.commit(true);
  const whole = [['MULTI'], ['INCR', 'a'], ['INCR', 'b'], ['EXEC']];
  t.equal(takeAll(ring), resp(['SELECT', '12'], ...whole));
  record(journal, 12, 'DEL', 'a');
  record(journal, 0, 'DEL', 'b');
  record(journal, 3, 'DEL', 'c');
  journal.commit(true);
  t.equal(
    takeAll(ring),
    resp(['MULTI'], ['DEL', 'a'], ['SELECT', '0'], ['DEL', 'b'], ['SELECT', '3'], ['DEL', 'c'], ['EXEC']),
  );
  record(journal, 3, 'DEL', 'a');
  record(journal, 3, 'DEL', 'b');
  journal.commit(false);
  t.equal(takeAll(ring), resp(['DEL', 'a'], ['DEL', 'b']), 'what belongs not together');
});

t.test('what a command has changed, and in which words', async (t) => {
  const { ring, journal } = newRing();
  ring.turnOn();
  const bytes = Buffer.from('SETkeyvalue');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const pairs = Int32Array.of(0, 3, 3, 3, 6, 5);
  journal.settle(0, bytes, view, pairs, 0, 3);
  journal.commit(true);
  t.equal(takeAll(ring), '', 'nothing has changed');
  journal.changes = 2;
  journal.settle(0, bytes, view, pairs, 0, 3);
  journal.commit(true);
  t.equal(takeAll(ring), resp(['SELECT', '0'], ['SET', 'key', 'value']));
  journal.changes = 1;
  record(journal, 0, 'DEL', 'key');
  journal.settled();
  journal.settle(0, bytes, view, pairs, 0, 3);
  journal.changes = 1;
  journal.settle(0, bytes, view, pairs, 1, 2);
  journal.commit(true);
  t.equal(takeAll(ring), resp(['MULTI'], ['DEL', 'key'], ['key', 'value'], ['EXEC']));
  ring.turnOff();
  journal.changes = 1;
  journal.settle(0, bytes, view, pairs, 0, 3);
  journal.commit(true);
  t.equal(takeAll(ring), '', 'nothing is recorded');
});

t.test('long records', async (t) => {
  const { ring, journal } = newRing(1 << 20);
  ring.turnOn();
  const value = 'x'.repeat(700_000);
  for (let round = 0; round < 5; round++) {
    record(journal, 0, 'SET', `k${round}`, value);
    journal.commit(true);
    t.same(parse(takeAll(ring, 1000)).at(-1), ['SET', `k${round}`, value], 'around the end of the ring');
  }
});

t.test('a record for which there is no room keeps its place', async (t) => {
  const handle = JournalRing.create(1024);
  const ring = new JournalRing(handle);
  const [first, second] = [new Journal(handle, 0), new Journal(handle, 1)];
  ring.turnOn();
  const long = 'x'.repeat(5000);
  record(first, 0, 'SET', 'a', long);
  first.commit(true);
  t.ok(first.ring.hasOverflow);
  t.ok(ring.hasOverflows);
  t.notOk(first.ring.isReady);
  record(second, 0, 'SET', 'b', 'short');
  second.commit(true);
  record(first, 1, 'SET', 'c', 'of the first');
  record(first, 2, 'SET', 'd', 'of the first');
  first.commit(true);
  ring.switchFile();
  record(second, 0, 'SET', 'e', 'in the next file');
  second.commit(true);
  t.ok(second.ring.hasOverflow);
  const woken: number[] = [];
  ring.wakeWaiting(2, (worker) => woken.push(worker));
  t.same(woken, [0, 1], 'both wait');
  let text = takeAll(ring);
  t.equal(text.length, 1024, 'what is there');
  t.equal(takeAll(ring), '', 'nobody passes the first overflow');
  second.ring.drain();
  t.equal(takeAll(ring), '');
  for (let rounds = 0; rounds < 20; rounds++) {
    first.ring.drain();
    second.ring.drain();
    text += takeAll(ring, 300);
  }
  t.notOk(ring.hasOverflows);
  t.ok(ring.isSwitchDue);
  t.same(parse(text), [
    ['SELECT', '0'],
    ['SET', 'a', long],
    ['SET', 'b', 'short'],
    ['SELECT', '1'],
    ['MULTI'],
    ['SET', 'c', 'of the first'],
    ['SELECT', '2'],
    ['SET', 'd', 'of the first'],
    ['EXEC'],
  ]);
  ring.switched();
  t.equal(takeAll(ring), resp(['SELECT', '0'], ['SET', 'e', 'in the next file']));
  t.equal(ring.pendingBytes, 0);
});

t.test('waiting for the disk has an end', async (t) => {
  const { ring, journal } = newRing(1024);
  ring.turnOn();
  record(journal, 0, 'SET', 'a', 'x'.repeat(5000));
  journal.commit(true);
  let looks = 0;
  t.ok(
    journal.ring.waitUntilReady(() => ++looks > 2),
    'when the disk reports an error',
  );
  t.notOk(journal.ring.isReady);
  t.notOk(
    journal.ring.waitForFile(() => false),
    'when it takes nothing for long',
  );
});

t.test('the next file', async (t) => {
  const { ring, journal } = newRing();
  ring.switchFile();
  t.ok(ring.isSwitchDue, 'the first file');
  ring.switched();
  record(journal, 5, 'INCR', 'old');
  journal.commit(true);
  ring.switchFile();
  t.notOk(ring.isSwitchDue);
  t.ok(ring.isSwitchPending);
  record(journal, 5, 'INCR', 'new');
  journal.commit(true);
  t.equal(takeAll(ring), resp(['SELECT', '5'], ['INCR', 'old']), 'no more than belongs to the old one');
  t.ok(ring.isSwitchDue);
  ring.switched();
  t.equal(takeAll(ring), resp(['SELECT', '5'], ['INCR', 'new']), 'the new one begins with its database');
});

t.test('times', async (t) => {
  const { ring, journal } = newRing();
  ring.configure(false, true);
  ring.turnOn();
  const before = Math.floor(Date.now() / 1000);
  for (const key of ['a', 'b']) {
    record(journal, 0, 'INCR', key);
    journal.commit(true);
  }
  const annotation = Buffer.from(ring.takeTimestamp() ?? []).toString();
  const [, seconds] = /^#TS:(\d+)\r\n$/.exec(annotation)!;
  t.ok(Number(seconds) >= before && Number(seconds) <= Date.now() / 1000);
  const text = resp(['SELECT', '0'], ['INCR', 'a'], ['INCR', 'b']);
  t.equal(ring.untilBoundary, text.length);
  record(journal, 0, 'INCR', 'c');
  journal.commit(true);
  t.equal(Buffer.from(ring.peek(ring.untilBoundary)).toString(), text, 'a record ends there');
  ring.taken(text.length);
  ring.takeTimestamp();
  t.equal(takeAll(ring), resp(['INCR', 'c']));
  t.equal(ring.takeTimestamp(), null, 'nothing to annotate');
});

t.test('two readers', async (t) => {
  const { ring, journal } = newRing();
  ring.turnOn();
  record(journal, 0, 'INCR', 'a');
  journal.commit(true);
  t.ok(ring.isOn);
  const start = ring.turnOnReplication();
  record(journal, 0, 'INCR', 'b');
  journal.commit(true);
  const ping = Buffer.from(resp(['PING']));
  ring.appendRaw(ping, new DataView(ping.buffer, ping.byteOffset), 0, ping.length, true);
  record(journal, 0, 'INCR', 'c');
  journal.commit(true);
  const stream = resp(['SELECT', '0'], ['INCR', 'b'], ['PING'], ['INCR', 'c']);
  t.equal(Buffer.from(ring.peekForReplicas()).toString(), stream);
  t.equal(ring.head - start, stream.length);
  t.equal(
    takeAll(ring),
    resp(['SELECT', '0'], ['INCR', 'a'], ['SELECT', '0'], ['INCR', 'b'], ['INCR', 'c']),
    'the file has no PING',
  );
  t.equal(ring.pendingBytes, 0);
  ring.turnOff();
  ring.fileClosed();
  t.ok(ring.isOn);
  record(journal, 0, 'INCR', 'd');
  journal.commit(true);
  t.equal(ring.pendingBytes, 0, 'nothing is for the file');
  t.notOk(ring.mustWait);
  t.equal(takeAll(ring), '');
  t.equal(Buffer.from(ring.peekForReplicas()).toString(), stream + resp(['INCR', 'd']));
  ring.sent(ring.head - start);
  t.ok(ring.sleepForReplicas());
  ring.isReplica = true;
  t.notOk(ring.isOn, 'a replica records nothing by itself');
  ring.isReplica = false;
  ring.turnOffReplication();
  t.notOk(ring.isOn);
});

t.test('who has to wait', async (t) => {
  const { ring, journal } = newRing();
  ring.turnOn();
  t.notOk(ring.mustWait);
  record(journal, 0, 'INCR', 'a');
  journal.commit(true);
  t.equal(journal.recordedUntil, ring.head);
  t.notOk(ring.mustWait, 'not without `always`');
  ring.configure(true, false);
  t.ok(ring.isSynchronous);
  t.ok(ring.mustWait);
  ring.markWaiting(2);
  const woken: number[] = [];
  const { head } = ring;
  takeAll(ring);
  t.ok(ring.mustWait, 'in the file is not on the disk');
  ring.markSynced(head);
  t.notOk(ring.mustWait);
  ring.wakeWaiting(3, (worker) => woken.push(worker));
  t.same(woken, [2]);
  ring.wakeWaiting(3, (worker) => woken.push(worker));
  t.same(woken, [2], 'once');
  ring.configure(false, false);
  t.ok(ring.isSynced);
  record(journal, 0, 'INCR', 'a');
  journal.commit(true);
  ring.taking(1000);
  t.notOk(ring.isSynced, 'a write that hangs counts');
  t.notOk(ring.noteIfBehind(2999, 2000));
  t.notOk(ring.mustWait);
  t.ok(ring.noteIfBehind(3000, 2000));
  t.notOk(ring.noteIfBehind(3000, 2000), 'that is new only once');
  t.ok(ring.mustWait, 'far behind');
  takeAll(ring);
  ring.markSynced(ring.head);
  t.notOk(ring.mustWait);
  t.ok(ring.isSynced);
});

t.test('requests', async (t) => {
  const { ring } = newRing();
  ring.request(JournalRequest.Install);
  ring.request(JournalRequest.Close);
  t.ok(ring.withdraw(JournalRequest.Install));
  t.notOk(ring.withdraw(JournalRequest.Install));
  t.equal(ring.takeRequests(), JournalRequest.Close);
  t.notOk(ring.withdraw(JournalRequest.Close), 'it is taken');
  t.equal(ring.takeRequests(), 0);
});

const THREADS = 3;
const COUNTERS = 4;
const RECORDS = 6000;

/** Each adds to counters that all share, under a lock each, as commands do to shards; sometimes to two at once. */
const WRITER = `
  import { workerData } from 'node:worker_threads';
  const { Journal } = await import(workerData.base + 'journal/journal.js');
  const { acquireLock, releaseLock } = await import(workerData.base + 'memory/lock.js');
  const { Random } = await import(workerData.base + '../test/tools/random.js');
  const { index, handle, shared, records, counters } = workerData;
  const words = new Int32Array(shared);
  const journal = new Journal(handle, index);
  const random = new Random(index + 1);
  for (let record = 0; record < records; record++) {
    const low = random.below(counters - 1);
    const chosen = random.chance(0.3) ? [low, low + 1] : [low];
    for (const counter of chosen) acquireLock(words, 32 * counter);
    const padding = 'p'.repeat(random.chance(0.02) ? 5000 : random.below(100));
    for (const counter of chosen) {
      journal.begin(counter, 4);
      for (const word of ['SET', 'counter', String(++words[32 * counter + 1]), padding]) journal.word(word);
    }
    journal.commit(true);
    for (const counter of chosen) releaseLock(words, 32 * counter);
    // Now and then a worker goes on before there is room.
    if (random.chance(0.9)) journal.ring.waitUntilReady(() => random.chance(0.1));
    else journal.ring.drain();
  }
  while (journal.ring.hasOverflow) journal.ring.waitUntilReady(() => false);
  Atomics.add(words, 32 * counters, 1);
`;

for (const ringBytes of [512, 4096, 1 << 20]) {
  await t.test(`several threads, a ring of ${ringBytes} bytes`, async (t) => {
    t.setTimeout(0);
    const handle = JournalRing.create(ringBytes);
    const ring = new JournalRing(handle);
    ring.configure(false, ringBytes === 4096);
    ring.turnOn();
    const shared = new SharedArrayBuffer(128 * (COUNTERS + 1));
    const words = new Int32Array(shared);
    const base = new URL('../../src/', import.meta.url).href;
    const threads = Array.from(
      { length: THREADS },
      (_, index) =>
        new Worker(new URL(`data:text/javascript,${encodeURIComponent(WRITER)}`), {
          workerData: { index, base, handle, shared, records: RECORDS, counters: COUNTERS },
        }),
    );
    const failures: Error[] = [];
    for (const thread of threads) thread.on('error', (error) => failures.push(error));
    const random = new Random(ringBytes);
    const pieces: string[] = [];
    for (;;) {
      // Before the look at the ring: whoever has ended has written all.
      const haveEnded = Atomics.load(words, 32 * COUNTERS) === THREADS || failures.length > 0;
      const piece = takeAll(ring, random.between(1, 700));
      if (piece !== '') pieces.push(piece);
      else if (haveEnded) break;
      if (!haveEnded && random.chance(0.3)) ring.sleep(failures.length > 0 ? 0 : 100);
      if (random.chance(0.05)) await new Promise((resolve) => setImmediate(resolve));
    }
    t.same(failures, []);
    const counts = new Array(COUNTERS).fill(0);
    let database = -1;
    let depth = 0;
    let wrong = 0;
    for (const [name, ...rest] of parse(pieces.join(''))) {
      if (name === 'SELECT') database = Number(rest[0]);
      else if (name === 'MULTI') depth++;
      else if (name === 'EXEC') depth--;
      else if (Number(rest[1]) !== ++counts[database]) wrong++;
      if (depth < 0 || depth > 1) wrong++;
    }
    t.equal(wrong, 0, 'every counter is counted up in order');
    t.same(
      counts,
      Array.from({ length: COUNTERS }, (_, counter) => words[32 * counter + 1]),
    );
    await Promise.all(threads.map((thread) => thread.terminate()));
  });
}

t.test('whoever sleeps is woken', async (t) => {
  const { ring, journal } = newRing();
  ring.turnOn();
  const handle = (ring as unknown as { words: Int32Array }).words.buffer as SharedArrayBuffer;
  const sleeper = new Worker(
    new URL(
      `data:text/javascript,${encodeURIComponent(`
        import { parentPort, workerData } from 'node:worker_threads';
        const { JournalRing } = await import(workerData.base + 'journal/journal-ring.js');
        const ring = new JournalRing(workerData.handle);
        for (let got = 0; got < workerData.rounds; ) {
          ring.sleep(2 ** 31 - 1);
          const piece = ring.peek(1 << 20);
          ring.taken(piece.length);
          if (piece.length > 0) { got++; parentPort.postMessage(got); }
        }
      `)}`,
    ),
    { workerData: { base: new URL('../../src/', import.meta.url).href, handle, rounds: 200 } },
  );
  let answered = 0;
  sleeper.on('error', (error) => t.fail(error.message));
  for (let round = 0; round < 200; round++) {
    const answer = new Promise<number>((resolve) => sleeper.once('message', resolve));
    record(journal, 0, 'INCR', 'a');
    journal.commit(true);
    answered = await answer;
  }
  t.equal(answered, 200);
  await sleeper.terminate();
});
