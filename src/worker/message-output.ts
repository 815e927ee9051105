/** Where the messages for clients of this worker are written, until they are sent at the end of the round. */

import type { Session } from '../execution/session.js';
import { ReplyWriter } from '../protocol/reply-writer.js';
import type { MessageOutput } from '../pubsub/subscriptions.js';

/** With more than this, messages are sent before the round ends. */
const WRITTEN_BYTES_MAX = 1 << 20;
const INITIAL_BYTES = 16 * 1024;

export class WorkerMessages implements MessageOutput<Session> {
  private readonly resp2 = new ReplyWriter(INITIAL_BYTES);
  private readonly resp3 = new ReplyWriter(INITIAL_BYTES);
  private readonly sendTo: (session: Session, writer: ReplyWriter, start: number) => void;
  private readonly flushAll: () => void;

  /** `sendTo` sends a client what the writer has from `start` on, at the latest when `flushAll` is called. */
  constructor(sendTo: (session: Session, writer: ReplyWriter, start: number) => void, flushAll: () => void) {
    this.sendTo = sendTo;
    this.flushAll = flushAll;
    this.resp3.protocol = 3;
  }

  begin(): void {
    if (this.resp2.length + this.resp3.length > WRITTEN_BYTES_MAX) this.flush();
  }

  writer(protocol: 2 | 3): ReplyWriter {
    return protocol === 2 ? this.resp2 : this.resp3;
  }

  deliver(session: Session, writer: ReplyWriter, start: number): void {
    this.sendTo(session, writer, start);
  }

  /** Sends everything. */
  flush(): void {
    if (this.resp2.length + this.resp3.length === 0) return;
    this.flushAll();
    this.resp2.reset();
    this.resp3.reset();
  }
}
