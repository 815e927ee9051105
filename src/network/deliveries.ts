/**
 * What connections are sent besides their replies, such as published messages. It is gathered until the round ends:
 * many connections may share the bytes, and adjacent bytes of a writer for one connection go in one send.
 */

import type { ReplyWriter } from '../protocol/reply-writer.js';
import type { Connection } from './connection.js';

export class Deliveries {
  private readonly sendBytes: (
    connection: Connection,
    writer: ReplyWriter,
    start: number,
    end: number,
  ) => void;
  private connections: Connection[] = [];

  /** `sendBytes` sends bytes [start, end) of a writer to a connection, or keeps them for it. */
  constructor(sendBytes: (connection: Connection, writer: ReplyWriter, start: number, end: number) => void) {
    this.sendBytes = sendBytes;
  }

  /** Adds the bytes that were written to `writer` from `start` on. */
  add(connection: Connection, writer: ReplyWriter, start: number): void {
    if (connection.isClosed || connection.isClosing) return;
    if (connection.deliveryWriter === writer && connection.deliveryEnd === start) {
      connection.deliveryEnd = writer.length;
      return;
    }
    if (connection.deliveryWriter === null) this.connections.push(connection);
    else this.send(connection);
    connection.deliveryWriter = writer;
    connection.deliveryStart = start;
    connection.deliveryEnd = writer.length;
  }

  /** Sends what was gathered for one connection, before anything else is sent to it. */
  send(connection: Connection): void {
    const { deliveryWriter: writer } = connection;
    if (writer === null) return;
    connection.deliveryWriter = null;
    if (!connection.isClosed) {
      // What is being sent is left where it is, also by a writer that grows.
      writer.take();
      this.sendBytes(connection, writer, connection.deliveryStart, connection.deliveryEnd);
    }
  }

  /** Sends everything. Returns whether there was anything. */
  flush(): boolean {
    const { connections } = this;
    if (connections.length === 0) return false;
    this.connections = [];
    for (const connection of connections) this.send(connection);
    return true;
  }
}
