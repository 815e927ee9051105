/**
 * From bytes to commands: parses what a connection has sent and has the executor run it. One per worker.
 */

import type { ReplyWriter } from '../protocol/reply-writer.js';
import { ParseState, ParseStatus, RequestParser } from '../protocol/request-parser.js';
import type { Executor } from './executor.js';
import { ReplyMode, type Session } from './session.js';

/** The parts of a connection that the dispatcher needs. */
export interface DispatchedConnection {
  session: Session | null;
  parseState: ParseState | null;
  closeAfterReply(): void;
}

export class Dispatcher {
  readonly parser = new RequestParser();
  private readonly executor: Executor;
  private readonly reply: ReplyWriter;
  /** After `dispatch`: how many more bytes the incomplete command needs at least. */
  bytesNeeded = 0;
  /** After `dispatch`: the rest may contain whole commands, which run once other connections have had their turn. */
  isPaused = false;

  constructor(executor: Executor, reply: ReplyWriter) {
    this.executor = executor;
    this.reply = reply;
  }

  /** Runs the commands in bytes[start, end); returns the offset of the first byte not consumed. */
  dispatch(
    connection: DispatchedConnection,
    session: Session,
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
  ): number {
    const { parser, reply } = this;
    this.bytesNeeded = 0;
    this.isPaused = false;
    let position = start;
    while (position < end) {
      parser.authenticated = session.authenticated;
      const next = parser.parse(bytes, position, end, connection.parseState);
      reply.protocol = session.protocol;
      if (parser.commandCount > 0) {
        // The state of an incomplete command is kept only after those before it have run: one may be AUTH.
        const executed = this.executor.executeBatch(session, bytes, view, parser);
        if (session.closing) {
          connection.closeAfterReply();
          return end;
        }
        if (session.postponed !== null) {
          connection.parseState?.clear();
          return parser.commandEnd[executed - 1];
        }
        if (this.executor.mustPause) {
          this.isPaused = true;
          connection.parseState?.clear();
          return parser.commandEnd[executed - 1];
        }
      }
      if (parser.endsWithEmpty) this.executor.skipEmpty(session);
      position = next;
      if (parser.status === ParseStatus.ProtocolError) {
        // One of the commands before it may have been AUTH: parse again, with the limits that hold now.
        if (session.authenticated && !parser.authenticated) continue;
        if (session.replyMode === ReplyMode.On) reply.error(`ERR ${parser.errorText}`);
        connection.closeAfterReply();
        return end;
      }
      if (parser.status === ParseStatus.NeedMore) {
        connection.parseState ??= new ParseState();
        this.bytesNeeded = parser.bytesNeeded;
        break;
      }
    }
    parser.shrink();
    return position;
  }
}
