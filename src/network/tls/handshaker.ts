/**
 * Does the TLS handshakes of new connections, in a thread of its own: one costs about as much as a thousand commands,
 * nearly all of it for the server's signature. It accepts from the sockets of `tls-port` (tls-listeners.ts); a connection whose
 * handshake is done goes to a worker, with the SSL that OpenSSL has made for it, as soon as it has sent something, or after SILENT_MS.
 * So a client that only looks whether the server is there, or gives up, costs no worker anything.
 *
 * Each turn of the loop takes at most EVENTS_MAX connections that have sent something, and none of them more than one step.
 * A client that has gone before its first message is answered costs no signature: when more come than can be served, those
 * that have given up meanwhile are dropped, and the others are served the sooner.
 *
 * A connection that says nothing has no SSL yet, only its entry here. It has `auth-timeout` seconds for the handshake, and all
 * together may be half of `maxclients`; beyond that the oldest go.
 */

import { type ClientAuthentication, Config } from '../../config/config.js';
import type { HeededBlock } from '../../memory/attention.js';
import { SharedConfig } from '../../state/shared-config.js';
import { TlsState } from '../../state/tls-state.js';
import { WorkerLoad } from '../../state/worker-load.js';
import { EPOLL_DATA_OFFSET, EPOLL_EVENT_BYTES, Epoll, Errno, type Libc, Socket } from '../../system/libc.js';
import { createConfiguredLog, type Log } from '../../system/log.js';
import { type OpenSsl, SslError, tlsReason, UNEXPECTED_END, VerifyMode } from '../../system/openssl.js';
import { Accepting } from '../accepting.js';
import { handOver } from '../acceptor.js';
import { socketAddress } from '../socket-address.js';
import { WorkerChannel } from '../worker-channel.js';
import { TlsListeners } from './tls-listeners.js';

const EVENTS_MAX = 32;
const CHECK_MS = 1000;
/** So long a client that has not sent anything yet stays here after its handshake. */
const SILENT_MS = 50;
/** Pause before the next try when the system gives no descriptor. */
const FAILURE_PAUSE_MS = 50;
/** Minimum age of a connection before it may be closed in favour of newer ones. */
const GRACE_MS = 1000;
const GONE = Epoll.RDHUP | Epoll.HUP | Epoll.ERR;

const VERIFY_MODES: Readonly<Record<ClientAuthentication, number>> = {
  no: VerifyMode.None,
  optional: VerifyMode.Peer,
  yes: VerifyMode.Peer | VerifyMode.FailIfNoPeerCertificate,
};

export interface HandshakerOptions {
  /** Which of the threads for handshakes this one is. */
  readonly index: number;
  /** The channels of all of them, and of all workers, by index. */
  readonly handshakers: readonly SharedArrayBuffer[];
  readonly workers: readonly SharedArrayBuffer[];
  /** An AcceptorControl and a TlsListeners. */
  readonly acceptorControl: SharedArrayBuffer;
  readonly listeners: SharedArrayBuffer;
  /** A SharedConfig, a ControlBlock, a TlsState and a WorkerLoad. */
  readonly config: HeededBlock;
  readonly processControl: HeededBlock;
  readonly tls: SharedArrayBuffer;
  readonly workerLoad: SharedArrayBuffer;
}

interface Handshake {
  readonly fd: number;
  readonly sinceMs: number;
  /** The client's address, which can't be asked for once it has gone. */
  readonly peer: string;
  /** The address of its SSL; 0 before its first message. */
  session: number;
  /** Events that it waits for. */
  interest: number;
  /** When its handshake was done; 0 before. */
  doneMs: number;
}

/** Serves until told to stop. Blocks its thread. */
export function runHandshaker(libc: Libc, openSsl: OpenSsl, options: HandshakerOptions): void {
  new Handshaker(libc, openSsl, options).run();
}

class Handshaker {
  private readonly libc: Libc;
  private readonly openSsl: OpenSsl;
  private readonly index: number;
  private readonly channel: WorkerChannel;
  private readonly workers: readonly WorkerChannel[];
  private readonly handshakers: number;
  private readonly listeners: TlsListeners;
  private readonly accepting: Accepting;
  /** The version of `listeners` that `sockets` are of, and when they are to be accepted from again after a failure. */
  private followedListeners = 0;
  private sockets: readonly number[] = [];
  private pausedUntilMs = 0;
  private readonly sharedConfig: SharedConfig;
  private readonly tls: TlsState;
  private readonly workerLoad: WorkerLoad;
  private config: Config;
  private configVersion: number;
  private readonly log: Log;
  /** By descriptor, the oldest first. */
  private readonly handshakes = new Map<number, Handshake>();
  /** Those that are done, whose clients have not sent anything yet, the first to be done first. */
  private readonly silent = new Map<number, Handshake>();
  private readonly epoll: number;
  private readonly events = new Uint8Array(EVENTS_MAX * EPOLL_EVENT_BYTES);
  private readonly eventsView = new DataView(this.events.buffer);
  private readonly eventsAddress: number;
  private readonly control = new Uint8Array(EPOLL_EVENT_BYTES);
  private readonly controlView = new DataView(this.control.buffer);
  private readonly controlAddress: number;
  private readonly wakeBuffer = new Uint8Array(8);
  private readonly wakeAddress: number;
  private nextCheckMs = 0;

  constructor(libc: Libc, openSsl: OpenSsl, options: HandshakerOptions) {
    this.libc = libc;
    this.openSsl = openSsl;
    const handshakers = options.handshakers.map((buffer) => new WorkerChannel(buffer, libc));
    this.index = options.index;
    this.channel = handshakers[options.index];
    this.workers = options.workers.map((buffer) => new WorkerChannel(buffer, libc));
    this.handshakers = handshakers.length;
    this.listeners = new TlsListeners(options.listeners);
    this.sharedConfig = new SharedConfig(options.config);
    this.tls = new TlsState(options.tls);
    this.workerLoad = new WorkerLoad(options.workerLoad);
    const published = this.sharedConfig.readIfNewer(0);
    if (published === null) throw new Error('no configuration');
    this.configVersion = published.version;
    this.config = new Config(JSON.parse(published.json));
    this.log = createConfiguredLog(this.config);
    this.accepting = new Accepting(libc, {
      control: new Int32Array(options.acceptorControl),
      processControl: options.processControl,
      channels: [...this.workers, ...handshakers],
      log: this.log,
    });
    this.eventsAddress = libc.addressOf(this.events);
    this.wakeAddress = libc.addressOf(this.wakeBuffer);
    this.controlAddress = libc.addressOf(this.control);
    this.epoll = libc.epollCreate(Socket.SOCK_CLOEXEC);
    if (this.epoll < 0) throw new Error(`can't wait for events: ${libc.errorText(libc.errno())}`);
    this.changeInterest(Epoll.CTL_ADD, this.channel.wakeFd, Epoll.IN);
  }

  run(): void {
    const { libc, eventsView } = this;
    while (!this.channel.isStopped) {
      this.followListeners();
      const count = libc.epollWait(this.epoll, this.eventsAddress, EVENTS_MAX, this.waitMs());
      this.followConfig();
      for (let index = 0; index < count; index++) {
        const at = index * EPOLL_EVENT_BYTES;
        this.handleEvent(eventsView.getInt32(at + EPOLL_DATA_OFFSET, true), eventsView.getUint32(at, true));
      }
      const nowMs = performance.now();
      this.passSilent(nowMs);
      if (this.pausedUntilMs !== 0 && nowMs >= this.pausedUntilMs) this.pauseAccepting(0);
      if (nowMs < this.nextCheckMs) continue;
      this.nextCheckMs = nowMs + CHECK_MS;
      this.closeLate(nowMs);
    }
    for (const handshake of [...this.handshakes.values()]) this.close(handshake);
    libc.close(this.epoll);
  }

  /** How long to wait for the next event, -1 for ever. */
  private waitMs(): number {
    if (this.pausedUntilMs !== 0) return FAILURE_PAUSE_MS;
    if (this.silent.size > 0) return SILENT_MS;
    return this.handshakes.size === 0 ? -1 : CHECK_MS;
  }

  /** Accepts from the sockets that the acceptor listens on now, and lets go of others. */
  private followListeners(): void {
    const { listeners } = this;
    const { version } = listeners;
    if (version === this.followedListeners) return;
    this.followedListeners = version;
    const before = this.sockets;
    this.sockets = listeners.descriptors();
    for (const fd of before) if (!this.sockets.includes(fd)) this.listen(fd, false);
    for (const fd of this.sockets) if (!before.includes(fd)) this.listen(fd, true);
    listeners.follow(this.index, version);
  }

  /** Waits for connections to a socket, or no longer. Of several threads that wait for one, one is woken. */
  private listen(fd: number, isOn: boolean): void {
    if (isOn) this.changeInterest(Epoll.CTL_ADD, fd, Epoll.IN | Epoll.EXCLUSIVE);
    else this.changeInterest(Epoll.CTL_DEL, fd, 0);
  }

  /** Accepts nothing until then; 0: accepts again. */
  private pauseAccepting(untilMs: number): void {
    this.pausedUntilMs = untilMs;
    for (const fd of this.sockets) this.listen(fd, untilMs === 0);
  }

  private followConfig(): void {
    const published = this.sharedConfig.readIfNewer(this.configVersion);
    if (published === null) return;
    this.configVersion = published.version;
    this.config.adopt(JSON.parse(published.json));
  }

  private changeInterest(operation: number, fd: number, interest: number): void {
    this.controlView.setUint32(0, interest, true);
    this.controlView.setInt32(EPOLL_DATA_OFFSET, fd, true);
    this.libc.epollControl(this.epoll, operation, fd, this.controlAddress);
  }

  private handleEvent(fd: number, events: number): void {
    if (fd === this.channel.wakeFd) {
      this.libc.read(fd, this.wakeAddress, 8);
      return;
    }
    const handshake = this.handshakes.get(fd);
    if (handshake === undefined) {
      if (this.sockets.includes(fd)) this.accept(fd);
      return;
    }
    if (handshake.doneMs !== 0) {
      this.endSilence(handshake);
      return;
    }
    if (handshake.session === 0) {
      if ((events & GONE) !== 0) {
        this.fail(handshake, UNEXPECTED_END);
        return;
      }
      if (!this.begin(handshake)) return;
    }
    this.goOn(handshake);
  }

  private accept(listener: number): void {
    if (!this.accepting.acceptAll(listener, true, this.take))
      this.pauseAccepting(performance.now() + FAILURE_PAUSE_MS);
  }

  private readonly take = (fd: number): boolean => {
    const interest = Epoll.IN | Epoll.RDHUP;
    const peer = socketAddress(this.libc, fd, true);
    this.handshakes.set(fd, { fd, sinceMs: performance.now(), peer, session: 0, interest, doneMs: 0 });
    this.channel.connectionOpened();
    this.tls.addUnderWay(1);
    this.changeInterest(Epoll.CTL_ADD, fd, interest);
    return true;
  };

  /** Makes the SSL of a connection; false if that is not possible, and the connection is closed. */
  private begin(handshake: Handshake): boolean {
    const { openSsl } = this;
    const context = this.tls.shareContext(openSsl);
    handshake.session = context === 0 ? 0 : openSsl.newSession(context);
    if (context !== 0) openSsl.freeContext(context);
    const { session } = handshake;
    if (session === 0 || openSsl.setDescriptor(session, handshake.fd) !== 1) {
      this.fail(handshake, openSsl.takeErrors()[0] ?? 'TLS is not configured');
      return false;
    }
    openSsl.setSessionVerify(session, VERIFY_MODES[this.config.tlsAuthClients], 0);
    openSsl.setAcceptState(session);
    return true;
  }

  /** Takes the next step of a handshake. */
  private goOn(handshake: Handshake): void {
    const { openSsl } = this;
    const { session } = handshake;
    const result = openSsl.handshake(session);
    if (result === 1) {
      this.finish(handshake);
      return;
    }
    const errno = this.libc.errno();
    const error = openSsl.error(session, result);
    if (error === SslError.WantRead) {
      this.await(handshake, Epoll.IN);
    } else if (error === SslError.WantWrite) {
      this.await(handshake, Epoll.OUT);
    } else {
      this.fail(handshake, tlsReason(openSsl.takeErrors()) ?? this.libc.errorText(errno));
    }
  }

  private await(handshake: Handshake, event: number): void {
    if (handshake.interest === event) return;
    handshake.interest = event;
    this.changeInterest(Epoll.CTL_MOD, handshake.fd, event);
  }

  private finish(handshake: Handshake): void {
    this.tls.countHandshake(this.openSsl.wasResumed(handshake.session) === 1);
    this.tls.addUnderWay(-1);
    handshake.doneMs = performance.now();
    this.silent.set(handshake.fd, handshake);
    this.await(handshake, Epoll.IN);
  }

  /** A client whose handshake is done has sent something, or has gone. */
  private endSilence(handshake: Handshake): void {
    const { libc, wakeAddress } = this;
    const received = libc.receive(handshake.fd, wakeAddress, 1, Socket.MSG_PEEK);
    if (received > 0) {
      this.pass(handshake);
      return;
    }
    const errno = received < 0 ? libc.errno() : 0;
    if (errno === Errno.EAGAIN || errno === Errno.EINTR) return;
    this.log(`Reading from client: ${errno === 0 ? UNEXPECTED_END : libc.errorText(errno)}`, 'verbose');
    this.close(handshake);
  }

  /** Gives the connections to workers whose clients have been silent for long enough. */
  private passSilent(nowMs: number): void {
    for (const handshake of this.silent.values()) {
      if (nowMs - handshake.doneMs < SILENT_MS) return;
      this.pass(handshake);
    }
  }

  /** Gives a connection whose handshake is done to a worker. */
  private pass(handshake: Handshake): void {
    const { fd, session } = handshake;
    this.forget(handshake);
    const { workers, workerLoad, channel } = this;
    if (handOver(fd, session, workers, workerLoad.activeWorkers, channel.stopWord)) return;
    this.openSsl.freeSession(session);
    this.libc.close(fd);
  }

  private fail(handshake: Handshake, reason: string): void {
    const { libc, tls, log } = this;
    const { fd, peer } = handshake;
    const local = socketAddress(libc, fd, false);
    tls.countFailure();
    log(`Error accepting a client connection: ${reason} (addr=${peer} laddr=${local})`, 'warning');
    this.close(handshake);
  }

  /** Removes a connection from this thread. */
  private forget(handshake: Handshake): void {
    this.changeInterest(Epoll.CTL_DEL, handshake.fd, 0);
    this.handshakes.delete(handshake.fd);
    if (handshake.doneMs === 0) this.tls.addUnderWay(-1);
    else this.silent.delete(handshake.fd);
    this.channel.connectionClosed();
  }

  private close(handshake: Handshake): void {
    this.forget(handshake);
    if (handshake.session !== 0) this.openSsl.freeSession(handshake.session);
    this.libc.close(handshake.fd);
  }

  /** Closes connections whose time is over, and the oldest if there are too many. */
  private closeLate(nowMs: number): void {
    const { handshakes, config } = this;
    const { authTimeoutSeconds, maxClients } = config;
    const most = Math.ceil(maxClients / 2 / this.handshakers);
    for (const handshake of handshakes.values()) {
      if (handshake.doneMs !== 0) continue;
      const ageMs = nowMs - handshake.sinceMs;
      const isLate = authTimeoutSeconds > 0 && ageMs > authTimeoutSeconds * 1000;
      if (isLate) this.fail(handshake, 'the handshake has not been done in time');
      else if (handshakes.size > most && ageMs > GRACE_MS)
        this.fail(handshake, 'too many handshakes are under way');
      else return;
    }
  }
}
