/**
 * What the rest of the process tells the acceptor, which sleeps in poll(2): limits, "listen elsewhere" (CONFIG
 * SET port and bind), "stop". Words in shared memory, and an eventfd that ends the sleep.
 *
 *   int32 words, see AcceptorWord
 *   bytes 64...   a request as JSON text
 */

import type { Libc } from '../system/libc.js';

export const enum AcceptorWord {
  ClientsMax = 0,
  /** Seconds; 0 turns keepalive off. */
  KeepAliveSeconds = 1,
  Stop = 2,
  WakeFd = 3,
  Request = 4,
  RequestLengthBytes = 5,
}

const enum RequestState {
  None = 0,
  Asked = 1,
  Done = 2,
  Failed = 3,
}

const TEXT_OFFSET = 64;
const TEXT_BYTES_MAX = 64 * 1024;
/** The acceptor answers at once, unless it waits for a name to be resolved or for a worker with a full ring. */
const ANSWER_MS_MAX = 2000;

/** Where to listen. */
export interface ListenRequest {
  readonly bind: readonly string[];
  readonly port: number;
  readonly tlsPort: number;
}

export class AcceptorControl {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  private readonly libc: Libc;
  private readonly one = new Uint8Array(8);

  constructor(buffer: SharedArrayBuffer, libc: Libc) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.libc = libc;
    this.one[0] = 1;
  }

  /** `wakeFd`: an eventfd. */
  static create(wakeFd: number, libc: Libc): AcceptorControl {
    const control = new AcceptorControl(new SharedArrayBuffer(TEXT_OFFSET + TEXT_BYTES_MAX), libc);
    control.words[AcceptorWord.WakeFd] = wakeFd;
    return control;
  }

  get wakeFd(): number {
    return this.words[AcceptorWord.WakeFd];
  }

  get isStopped(): boolean {
    return Atomics.load(this.words, AcceptorWord.Stop) !== 0;
  }

  setLimits(clientsMax: number, keepAliveSeconds: number): void {
    Atomics.store(this.words, AcceptorWord.ClientsMax, Math.min(clientsMax, 0x7fffffff));
    const before = Atomics.exchange(this.words, AcceptorWord.KeepAliveSeconds, keepAliveSeconds);
    if (before !== keepAliveSeconds) this.wake();
  }

  get keepAliveSeconds(): number {
    return Atomics.load(this.words, AcceptorWord.KeepAliveSeconds);
  }

  stop(): void {
    Atomics.store(this.words, AcceptorWord.Stop, 1);
    Atomics.notify(this.words, AcceptorWord.Stop);
    this.wake();
  }

  private wake(): void {
    this.libc.write(this.wakeFd, this.libc.addressOf(this.one), 8);
  }

  /**
   * Has the acceptor listen elsewhere, and waits until it does. Returns false if it can't; it then listens where it
   * did before. One caller at a time.
   */
  listenOn(request: ListenRequest): boolean {
    const encoded = new TextEncoder().encode(JSON.stringify(request));
    if (encoded.length > TEXT_BYTES_MAX) return false;
    const { words } = this;
    new Uint8Array(this.buffer).set(encoded, TEXT_OFFSET);
    Atomics.store(words, AcceptorWord.RequestLengthBytes, encoded.length);
    Atomics.store(words, AcceptorWord.Request, RequestState.Asked);
    this.wake();
    Atomics.wait(words, AcceptorWord.Request, RequestState.Asked, ANSWER_MS_MAX);
    return Atomics.exchange(words, AcceptorWord.Request, RequestState.None) === RequestState.Done;
  }

  /** For the acceptor: what it is asked for, null for nothing. */
  request(): ListenRequest | null {
    if (Atomics.load(this.words, AcceptorWord.Request) !== RequestState.Asked) return null;
    const end = TEXT_OFFSET + this.words[AcceptorWord.RequestLengthBytes];
    return JSON.parse(new TextDecoder().decode(new Uint8Array(this.buffer).slice(TEXT_OFFSET, end)));
  }

  answer(isDone: boolean): void {
    Atomics.store(this.words, AcceptorWord.Request, isDone ? RequestState.Done : RequestState.Failed);
    Atomics.notify(this.words, AcceptorWord.Request);
  }
}
