/**
 * What threads share about TLS: the context that new connections are made from, and what has become of them.
 *
 *   int32 words   0 lock   1 version of the context   2 connections whose handshakes are under way
 *   float64 from byte 64
 *     0 address of the context (an SSL_CTX that the process owns once), 0 for none
 *     8 handshakes that have succeeded   16 of these, resumed sessions   24 handshakes that have failed
 *
 * The context is replaced under the lock, and a thread takes a reference of its own under the lock before it uses the
 * context, so the old one lives as long as connections need it.
 */

import { acquireLock, releaseLock } from '../memory/lock.js';
import type { OpenSsl } from '../system/openssl.js';

const enum Word {
  Lock = 0,
  Version = 1,
  UnderWay = 2,
}

const enum Figure {
  Context = 8,
  Succeeded = 9,
  Resumed = 10,
  Failed = 11,
}

const BYTES = 128;

export class TlsState {
  private readonly words: Int32Array;
  private readonly figures: Float64Array;

  constructor(handle: SharedArrayBuffer) {
    this.words = new Int32Array(handle);
    this.figures = new Float64Array(handle);
  }

  static create(): SharedArrayBuffer {
    return new SharedArrayBuffer(BYTES);
  }

  /** Increments with each new context. */
  get version(): number {
    return Atomics.load(this.words, Word.Version);
  }

  /** Replaces the context. The process owns the new one. Over node:tls there is none here, only its version. */
  publish(openSsl: OpenSsl | null, context: number): void {
    const { words, figures } = this;
    acquireLock(words, Word.Lock);
    const old = figures[Figure.Context];
    figures[Figure.Context] = context;
    Atomics.add(words, Word.Version, 1);
    releaseLock(words, Word.Lock);
    if (old !== 0) openSsl?.freeContext(old);
  }

  /** The context in force, 0 for none. The caller gets a reference of its own, which it has to free. */
  shareContext(openSsl: OpenSsl): number {
    const { words, figures } = this;
    acquireLock(words, Word.Lock);
    const context = figures[Figure.Context];
    if (context !== 0) openSsl.shareContext(context);
    releaseLock(words, Word.Lock);
    return context;
  }

  /** Connections whose handshakes are under way. */
  get underWay(): number {
    return Atomics.load(this.words, Word.UnderWay);
  }

  addUnderWay(delta: number): void {
    Atomics.add(this.words, Word.UnderWay, delta);
  }

  get succeeded(): number {
    return this.figures[Figure.Succeeded];
  }

  get resumed(): number {
    return this.figures[Figure.Resumed];
  }

  get failed(): number {
    return this.figures[Figure.Failed];
  }

  countHandshake(isResumed: boolean): void {
    acquireLock(this.words, Word.Lock);
    this.figures[Figure.Succeeded]++;
    if (isResumed) this.figures[Figure.Resumed]++;
    releaseLock(this.words, Word.Lock);
  }

  countFailure(): void {
    acquireLock(this.words, Word.Lock);
    this.figures[Figure.Failed]++;
    releaseLock(this.words, Word.Lock);
  }

  /** CONFIG RESETSTAT. */
  reset(): void {
    acquireLock(this.words, Word.Lock);
    this.figures.fill(0, Figure.Succeeded, Figure.Failed + 1);
    releaseLock(this.words, Word.Lock);
  }
}
