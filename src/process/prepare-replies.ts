/** Makes, in the main thread, the replies that would hold up a worker (state/prepared-replies.ts). */

import { writePreparedReply } from '../commands/server/command-introspection.js';
import type { CommandTable } from '../execution/table/command-table.js';
import { ReplyWriter } from '../protocol/reply-writer.js';
import { PreparedReplies } from '../state/prepared-replies.js';

/** Pause after the start, while the processors have other work. */
const DELAY_MS = 500;

/** Makes one reply per turn of the event loop, so that signals are handled in between. */
export function prepareReplies(table: CommandTable, replies: PreparedReplies): void {
  const wanted = [...PreparedReplies.wanted()];
  const next = (): void => {
    const first = wanted.shift();
    if (first === undefined) return;
    const reply = new ReplyWriter();
    reply.protocol = first.protocol;
    writePreparedReply(reply, table, first.kind);
    replies.put(first.kind, first.protocol, reply.bytes.subarray(0, reply.length));
    setImmediate(next);
  };
  setTimeout(next, DELAY_MS).unref();
}
