/**
 * The front door: waits for connections on the listening sockets and hands each to the worker that has the fewest, of
 * those that are active (worker-placement.ts). From the sockets of `tls-port`, which are opened and closed here as well, the
 * threads for handshakes accept by themselves (tls/handshaker.ts). Runs in a thread of its own, blocked in poll(2).
 */

import type { HeededBlock } from '../memory/attention.js';
import { WorkerLoad } from '../state/worker-load.js';
import { collectGarbage } from '../system/garbage.js';
import type { Libc } from '../system/libc.js';
import { createLog, type Log } from '../system/log.js';
import { Accepting } from './accepting.js';
import { type AcceptorControl, AcceptorWord, type ListenRequest } from './acceptor-control.js';
import {
  type ListeningSocket,
  openInternetListeners,
  openPort,
  type SocketOptions,
  setKeepAlive,
} from './listener.js';
import { TlsListeners } from './tls/tls-listeners.js';
import type { StopWord, WorkerChannel } from './worker-channel.js';

const POLL_IN = 1;
/** Without a free descriptor accept fails at once again, and poll may fail: wait instead of spinning. */
const FAILURE_PAUSE_MS = 50;
/** If nobody has connected for so long, there is time to collect what the start of the thread has left behind. */
const IDLE_MS = 500;
const FOREVER_MS = -1;
/** Pause before retrying to hand a connection to a worker whose ring of new connections is full. */
const WORKER_BUSY_PAUSE_MS = 1;

export interface AcceptorOptions {
  readonly sockets: readonly ListeningSocket[];
  /** Where `sockets` listen. */
  readonly listen: ListenRequest;
  readonly backlog: number;
  readonly control: SharedArrayBuffer;
  /** A ControlBlock. */
  readonly processControl: HeededBlock;
  /** A WorkerLoad, and a TlsListeners. */
  readonly workerLoad: SharedArrayBuffer;
  readonly tlsListeners: SharedArrayBuffer;
  /** Path of the log file, '' for standard output. */
  readonly logFile: string;
}

/** Accepts until told to stop. Blocks its thread. */
export async function runAcceptor(
  libc: Libc,
  control: AcceptorControl,
  options: AcceptorOptions,
  workers: readonly WorkerChannel[],
  handshakers: readonly WorkerChannel[],
  log: Log = createLog(options.logFile, () => 'warning'),
): Promise<void> {
  let { listen } = options;
  const { processControl, backlog } = options;
  const workerLoad = new WorkerLoad(options.workerLoad);
  const accepting = new Accepting(libc, {
    control: control.words,
    processControl,
    channels: [...workers, ...handshakers],
    log,
  });
  const listeners = new Listeners(libc, new TlsListeners(options.tlsListeners), handshakers);
  const stop = { words: control.words, index: AcceptorWord.Stop };
  const take = (fd: number): boolean => handOver(fd, 0, workers, workerLoad.activeWorkers, stop);
  const pause = (): void => void Atomics.wait(control.words, AcceptorWord.Stop, 0, FAILURE_PAUSE_MS);
  const eightBytes = new Uint8Array(8);
  let keepAliveSeconds = control.keepAliveSeconds;
  listeners.use(options.sockets);
  let poll = new PollSet(libc, listeners.plain, control.wakeFd);
  let waitMs = IDLE_MS;
  while (!control.isStopped) {
    const readyCount = poll.wait(waitMs);
    if (readyCount === 0) {
      waitMs = FOREVER_MS;
      collectGarbage();
      continue;
    }
    if (readyCount < 0) {
      if (!accepting.noteFailure('poll', libc.errno())) pause();
      continue;
    }
    const { plain } = listeners;
    plain.forEach(({ fd }, index) => {
      if (poll.isReady(index) && !accepting.acceptAll(fd, false, take)) pause();
    });
    if (!poll.isReady(plain.length)) continue;
    libc.read(control.wakeFd, libc.addressOf(eightBytes), 8);
    if (keepAliveSeconds !== control.keepAliveSeconds) {
      keepAliveSeconds = control.keepAliveSeconds;
      for (const { fd } of listeners.internet) setKeepAlive(libc, fd, keepAliveSeconds);
    }
    const request = control.request();
    if (request === null) continue;
    const isDone = await listenElsewhere(libc, listeners, listen, request, { backlog, keepAliveSeconds });
    poll = new PollSet(libc, listeners.plain, control.wakeFd);
    if (isDone) listen = request;
    control.answer(isDone);
  }
  for (const socket of listeners.all) libc.close(socket.fd);
}

/** The listening sockets. */
class Listeners {
  private readonly libc: Libc;
  private readonly tlsListeners: TlsListeners;
  private readonly handshakers: readonly WorkerChannel[];
  all: readonly ListeningSocket[] = [];
  /** Those from which the acceptor accepts. */
  plain: readonly ListeningSocket[] = [];

  constructor(libc: Libc, tlsListeners: TlsListeners, handshakers: readonly WorkerChannel[]) {
    this.libc = libc;
    this.tlsListeners = tlsListeners;
    this.handshakers = handshakers;
  }

  get internet(): readonly ListeningSocket[] {
    return this.all.filter((socket) => !socket.isUnix);
  }

  use(sockets: readonly ListeningSocket[]): void {
    this.all = sockets;
    this.plain = sockets.filter((socket) => !socket.isTls);
    this.tlsListeners.offer(sockets.filter((socket) => socket.isTls).map((socket) => socket.fd));
    for (const handshaker of this.handshakers) handshaker.wake();
  }

  close(closed: readonly ListeningSocket[]): void {
    if (closed.length === 0) return;
    this.use(this.all.filter((socket) => !closed.includes(socket)));
    if (closed.some((socket) => socket.isTls)) this.tlsListeners.awaitFollowers();
    for (const socket of closed) this.libc.close(socket.fd);
  }
}

/** The array of struct pollfd: the listening sockets, and the eventfd at the end. */
class PollSet {
  private readonly libc: Libc;
  private readonly count: number;
  private readonly view: DataView;
  private readonly address: number;

  constructor(libc: Libc, sockets: readonly ListeningSocket[], wakeFd: number) {
    this.libc = libc;
    this.count = sockets.length + 1;
    const bytes = new Uint8Array(this.count * 8);
    this.view = new DataView(bytes.buffer);
    [...sockets.map((socket) => socket.fd), wakeFd].forEach((fd, index) => {
      this.view.setInt32(index * 8, fd, true);
      this.view.setInt16(index * 8 + 4, POLL_IN, true);
    });
    this.address = libc.addressOf(bytes);
  }

  /** Waits until something happens. Returns the number of ready descriptors, 0 after `timeoutMs`, -1 after a signal. */
  wait(timeoutMs: number): number {
    return this.libc.poll(this.address, this.count, timeoutMs);
  }

  isReady(index: number): boolean {
    return this.view.getInt16(index * 8 + 6, true) !== 0;
  }
}

/**
 * Changes where the server listens. With other ports the new sockets are opened before the old ones are
 * closed; with other addresses the old ones have to go first, since they may overlap with the new ones, and are
 * opened again if that fails. Returns false if it has failed.
 */
async function listenElsewhere(
  libc: Libc,
  listeners: Listeners,
  before: ListenRequest,
  wanted: ListenRequest,
  options: SocketOptions,
): Promise<boolean> {
  const { bind, port, tlsPort } = wanted;
  const { internet } = listeners;
  if (bind.join(' ') !== before.bind.join(' ')) {
    listeners.close(internet);
    const opened = await openInternetListeners(libc, { ...wanted, ...options }).catch(() => null);
    const sockets = opened ?? (await openInternetListeners(libc, { ...before, ...options }).catch(() => []));
    listeners.use([...sockets, ...listeners.all]);
    return opened !== null;
  }
  const opened: ListeningSocket[] = [];
  try {
    if (port !== before.port) opened.push(...(await openPort(libc, bind, port, false, options)));
    if (tlsPort !== before.tlsPort) opened.push(...(await openPort(libc, bind, tlsPort, true, options)));
  } catch {
    for (const socket of opened) libc.close(socket.fd);
    return false;
  }
  listeners.close(
    internet.filter((socket) => (socket.isTls ? tlsPort !== before.tlsPort : port !== before.port)),
  );
  listeners.use([...listeners.all, ...opened]);
  return true;
}

/**
 * Gives a socket, with its TLS session if it has one, to a thread: of the first `active` threads, the one with the
 * fewest connections. Waits as long as its ring is full; returns false if the server stopped meanwhile.
 */
export function handOver(
  fd: number,
  session: number,
  targets: readonly WorkerChannel[],
  active: number,
  stop: StopWord,
): boolean {
  for (;;) {
    let least = targets[0];
    for (let index = 1; index < active; index++) {
      if (targets[index].connections < least.connections) least = targets[index];
    }
    if (least.push(fd, session)) return true;
    Atomics.wait(stop.words, stop.index, 0, WORKER_BUSY_PAUSE_MS);
    if (Atomics.load(stop.words, stop.index) !== 0) return false;
  }
}
