/** ACL LOG: which users were denied what. */

import type { CommandContext } from '../../execution/context.js';
import { type AccessLogEntry, DENIAL_CONTEXTS } from '../../state/access-log.js';
import { replyLatin1, wrongSubcommandArguments } from './replies.js';

const ENTRIES = 10;

export function aclLog(context: CommandContext): void {
  const { reply, services, argCount } = context;
  const { accessLog } = services.state;
  let count = ENTRIES;
  if (argCount > 3) {
    wrongSubcommandArguments(context);
    return;
  }
  if (argCount === 3) {
    if (context.argIs(2, 'RESET')) {
      accessLog.reset();
      reply.ok();
      return;
    }
    if (!context.integer(2)) return;
    count = Math.max(0, context.number.value);
  }
  const entries = accessLog.get(count);
  reply.array(entries.length);
  for (const entry of entries) replyEntry(context, entry, Date.now());
}

/** The last three fields are those of Redis 7.2. */
function replyEntry({ reply }: CommandContext, entry: AccessLogEntry, nowMs: number): void {
  const text = (name: string, value: string): void => {
    reply.bulkString(name);
    replyLatin1(reply, value);
  };
  const integer = (name: string, value: number): void => {
    reply.bulkString(name);
    reply.integer(value);
  };
  reply.map(10);
  integer('count', entry.count);
  text('reason', entry.reason);
  text('context', DENIAL_CONTEXTS[entry.context]);
  text('object', entry.object);
  text('username', entry.user);
  reply.bulkString('age-seconds');
  reply.double((nowMs - entry.updatedMs) / 1000);
  text('client-info', entry.client);
  integer('entry-id', entry.id);
  integer('timestamp-created', entry.createdMs);
  integer('timestamp-last-updated', entry.updatedMs);
}
