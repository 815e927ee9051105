/** The ring by itself: requests, completions, cancelling, buffers. */

import t, { type Test } from 'tap';
import {
  CANCEL_ALL_ON_FD,
  CompletionFlag,
  EntryFlag,
  IoUring,
  Operation,
  RECEIVE_MULTISHOT,
} from '../../src/network/io-uring.js';
import { Epoll, Errno, type Libc, loadLibc, Socket } from '../../src/system/libc.js';

const libc = loadLibc() as Libc;
const skip = libc !== null && IoUring.isAvailable(libc) ? false : 'this machine lets nobody use io_uring';

interface Completion {
  tag: number[];
  result: number;
  flags: number;
}

function open(t: Test, entriesMax = 8): IoUring {
  const ring = IoUring.create(libc, entriesMax, 64) as IoUring;
  t.teardown(() => ring.close());
  return ring;
}

function takeAll(ring: IoUring): Completion[] {
  const found: Completion[] = [];
  while (ring.completed > 0) {
    found.push({ tag: [ring.tagLow(0), ring.tagHigh(0)], result: ring.result(0), flags: ring.flags(0) });
    ring.consume(1);
  }
  return found;
}

/** A pair of sockets that are connected to each other. */
function socketPair(t: Test): [number, number] {
  const numbers = new Int32Array(2);
  const address = libc.addressOf(new Uint8Array(numbers.buffer));
  t.equal(libc.socketPair(Socket.AF_UNIX, Socket.SOCK_STREAM | Socket.SOCK_NONBLOCK, 0, address), 0);
  t.teardown(() => {
    for (const fd of numbers) libc.close(fd);
  });
  return [numbers[0], numbers[1]];
}

t.test('requests are queued until they are submitted, and come back with their tags', { skip }, async (t) => {
  const ring = open(t);
  const [left, right] = socketPair(t);
  const text = new TextEncoder().encode('hello');
  const room = new Uint8Array(8);
  for (let round = 0; round < 20; round++) {
    ring.queue(Operation.Send, EntryFlag.None, 0, left, libc.addressOf(text), 5, 0, round, 7, 0);
    ring.queue(Operation.Read, EntryFlag.None, 0, right, libc.addressOf(room), 8, 0, round, -1, 0);
    t.equal(ring.queued, 2);
    t.equal(ring.completed, 0);
    ring.submit(1000);
    t.equal(ring.queued, 0);
    t.same(takeAll(ring), [
      { tag: [round, 7], result: 5, flags: 0 },
      { tag: [round, -1], result: 5, flags: 0 },
    ]);
    t.equal(new TextDecoder().decode(room.subarray(0, 5)), 'hello');
    room.fill(0);
  }
});

t.test('a wait for several ends when all have come, or its time is over', { skip }, async (t) => {
  const ring = open(t);
  const [left, right] = socketPair(t);
  const text = new TextEncoder().encode('hello');
  const room = new Uint8Array(8);
  const address = libc.addressOf(text);
  for (const tag of [1, 2]) {
    ring.queue(Operation.Send, EntryFlag.None, 0, left, address, 5, 0, tag, 0, 0);
  }
  ring.submit(60_000, 2);
  t.equal(takeAll(ring).length, 2);
  ring.queue(Operation.PollAdd, EntryFlag.None, 0, left, 0, 0, Epoll.IN, 3, 0, 0);
  ring.queue(Operation.Read, EntryFlag.None, 0, right, libc.addressOf(room), 8, 0, 4, 0, 0);
  ring.submit(0.2, 2);
  t.same(takeAll(ring), [{ tag: [4, 0], result: 8, flags: 0 }]);
  ring.submit(0.2, 2);
  t.equal(ring.completed, 0);
});

t.test('a wait ends', { skip }, async (t) => {
  const ring = open(t);
  const [left] = socketPair(t);
  ring.queue(Operation.PollAdd, EntryFlag.None, 0, left, 0, 0, Epoll.IN, 1, 2, 0);
  ring.submit(20);
  t.equal(ring.completed, 0);
  ring.queue(Operation.AsyncCancel, EntryFlag.SkipSuccess, 0, left, 0, 0, CANCEL_ALL_ON_FD, 0, 0, 0);
  ring.submit(1000);
  t.same(takeAll(ring), [{ tag: [1, 2], result: -Errno.ECANCELED, flags: 0 }]);
});

t.test("a full ring says so; a send that can't go on gives up", { skip }, async (t) => {
  const ring = open(t, 4);
  const [left] = socketPair(t);
  const bytes = new Uint8Array(1 << 20);
  const send = (count: number) =>
    ring.queue(Operation.Send, EntryFlag.SkipSuccess, 0, left, libc.addressOf(bytes), count, 0x4140, 3, 4, 0);
  for (let count = 0; count < 3; count++) send(1);
  t.notOk(ring.isFull);
  send(bytes.length);
  t.ok(ring.isFull);
  ring.submit(0);
  t.notOk(ring.isFull);
  const [unsent, ...others] = takeAll(ring);
  t.same(others, [], 'successes are not reported');
  t.ok(unsent.result > 0 && unsent.result < bytes.length, 'a part');
  send(1);
  ring.submit(0);
  t.same(takeAll(ring), [{ tag: [3, 4], result: -Errno.EAGAIN, flags: 0 }]);
});

t.test('what arrives goes into the buffers, until there are none', { skip }, async (t) => {
  const ring = open(t);
  const [left, right] = socketPair(t);
  const buffers = ring.registerBuffers(5, 4, 16);
  if (buffers === null) throw new Error('no buffers');
  const receive = () =>
    ring.queue(Operation.Receive, EntryFlag.BufferSelect, RECEIVE_MULTISHOT, right, 0, 0, 0, 9, 1, 5);
  receive();
  ring.submit(0);
  const text = new TextEncoder().encode('abcdefghijklmnopqrstuvwxyz'.repeat(3));
  libc.write(left, libc.addressOf(text), text.length);
  ring.submit(1000);
  const completions = takeAll(ring);
  t.equal(completions.length, 5);
  let got = '';
  for (const { result, flags } of completions.slice(0, 4)) {
    t.ok(flags & CompletionFlag.Buffer);
    const at = (flags >>> 16) * 16;
    got += new TextDecoder().decode(buffers.bytes.subarray(at, at + result));
  }
  t.equal(got, new TextDecoder().decode(text.subarray(0, 64)));
  t.match(completions[4], { result: -Errno.ENOBUFS, flags: 0 });
  for (const { flags } of completions.slice(0, 4)) buffers.giveBack(flags >>> 16);
  receive();
  ring.submit(1000);
  t.equal(takeAll(ring)[0].result, text.length - 64);
});
