/** MONITOR: shows a client every command that runs, in any worker (monitor-feed.ts brings the lines there). */

import type { CommandContext } from '../../execution/context.js';
import type { Handler } from '../../execution/table/command-table.js';

/** A client that monitors already gets no reply, as with Redis. */
function monitor(context: CommandContext): void {
  const { session, reply, services } = context;
  if (context.inTransaction) {
    reply.error("ERR MONITOR isn't allowed for DENY BLOCKING client");
    return;
  }
  if (session.isMonitor) return;
  services.monitors.enter(session);
  reply.ok();
}

export const monitorHandlers: Readonly<Record<string, Handler>> = { MONITOR: monitor };
