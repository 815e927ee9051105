/** Remembers which keys a tracking client has read (CLIENT TRACKING). */

import { NamedKey } from '../keyspace/gate.js';
import { hashBytes } from '../memory/hash.js';
import type { CommandContext } from './context.js';
import { KeyPositions } from './key-positions.js';
import { NO_REQUEST } from './request.js';
import { type Command, CommandFlag } from './table/command-table.js';

export class ReadTracking {
  private readonly context: CommandContext;
  private readonly keyPositions = new KeyPositions();
  private readonly name = new NamedKey(NO_REQUEST.bytes, NO_REQUEST.view);

  constructor(context: CommandContext) {
    this.context = context;
  }

  /** Called when a tracking client has run a command; the locks of its keys are still held. */
  note(command: Command): void {
    const { context, name, keyPositions } = this;
    const { session, request, keyspace } = context;
    if (!session.tracking?.remembersReads || (command.flags & CommandFlag.Readonly) === 0) return;
    if ((command.flags & CommandFlag.Pubsub) !== 0) return;
    keyPositions.collect(command, request);
    const { bytes, view } = request;
    name.bytes = bytes;
    name.view = view;
    name.keyDatabase = session.database;
    for (let index = 0; index < keyPositions.count; index++) {
      const argument = keyPositions.indices[index];
      name.keyOffset = request.offset(argument);
      name.keyLength = request.length(argument);
      name.hash = hashBytes(view, name.keyOffset, name.keyLength);
      keyspace.shardOf(bytes, name.keyOffset, name.keyLength).track(name, session.clientSlot);
    }
  }
}
