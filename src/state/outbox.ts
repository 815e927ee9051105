/**
 * What one worker sends to the others. Nothing that is sent is lost: if the memory for messages is full, the next ones
 * wait here, in order, until there is room. While a worker that this one sends to does not keep up, `isCongested` is
 * true, and clients that cause messages must be held back: so at most what one command can send waits here.
 */

import type { Mail, MessageKind } from './mail.js';

interface Waiting {
  readonly worker: number;
  readonly kind: MessageKind;
  readonly id: number;
  readonly first: number;
  readonly second: number;
  readonly third: number;
  readonly bytes: Uint8Array;
}

const NO_BYTES = new Uint8Array(0);

export class Outbox {
  private readonly mail: Mail;
  private readonly waiting: Waiting[] = [];
  /** Whether a worker that a message was sent to did not keep up. */
  private hasCongestion = false;

  constructor(mail: Mail) {
    this.mail = mail;
  }

  /** Sends a message with the payload bytes[start, end), which is copied. */
  send(
    worker: number,
    kind: MessageKind,
    id: number,
    first = 0,
    second = 0,
    third = 0,
    bytes: Uint8Array = NO_BYTES,
    start = 0,
    end = bytes.length,
  ): void {
    const { mail, waiting } = this;
    if (waiting.length === 0 && mail.send(worker, kind, id, first, second, third, bytes, start, end)) {
      if (this.isCongested(worker)) this.hasCongestion = true;
      return;
    }
    this.hasCongestion = true;
    waiting.push({ worker, kind, id, first, second, third, bytes: bytes.slice(start, end) });
  }

  /** Sends the messages that had no room before. To be called from time to time. */
  flush(): void {
    const { mail, waiting } = this;
    let sent = 0;
    for (; sent < waiting.length; sent++) {
      const { worker, kind, id, first, second, third, bytes } = waiting[sent];
      if (!mail.send(worker, kind, id, first, second, third, bytes)) break;
    }
    if (sent > 0) waiting.splice(0, sent);
  }

  /** Whether, since the last call, a message was sent to a worker that does not keep up. */
  takeCongestion(): boolean {
    const { hasCongestion } = this;
    this.hasCongestion = false;
    return hasCongestion;
  }

  /** Whether a worker does not keep up, or messages wait here. If so, this worker is woken when there is room again. */
  isCongested(worker: number): boolean {
    if (!this.mail.isCongested(worker) && this.waiting.length === 0) return false;
    this.mail.awaitRoom(worker);
    return true;
  }
}
