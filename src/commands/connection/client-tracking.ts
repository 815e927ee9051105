/**
 * CLIENT TRACKING and what belongs to it. The server does not remember which keys a client has read, so
 * tracking can't be switched on; what asks about it says that it is off, in Redis's words.
 */

import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';

interface TrackingOptions {
  redirectId: number;
  isBroadcast: boolean;
  isOptIn: boolean;
  isOptOut: boolean;
  readonly prefixes: string[];
}

/** Replies an error and returns null if the options are not in order, whether tracking goes on or off. */
function readOptions(context: CommandContext): TrackingOptions | null {
  const { reply, argCount } = context;
  const { clients } = context.services.state;
  const options: TrackingOptions = {
    redirectId: 0,
    isBroadcast: false,
    isOptIn: false,
    isOptOut: false,
    prefixes: [],
  };
  for (let index = 3; index < argCount; index++) {
    const hasNext = index + 1 < argCount;
    if (context.argIs(index, 'REDIRECT') && hasNext) {
      index++;
      if (options.redirectId !== 0) {
        reply.error('ERR A client can only redirect to a single other client');
        return null;
      }
      if (!context.integer(index)) return null;
      options.redirectId = context.number.value;
      if (clients.select({ ids: new Set([options.redirectId]) }, context.nowMs).length === 0) {
        reply.error('ERR The client ID you want redirect to does not exist');
        return null;
      }
    } else if (context.argIs(index, 'BCAST')) options.isBroadcast = true;
    else if (context.argIs(index, 'OPTIN')) options.isOptIn = true;
    else if (context.argIs(index, 'OPTOUT')) options.isOptOut = true;
    else if (context.argIs(index, 'PREFIX') && hasNext) options.prefixes.push(context.argLatin1(++index));
    else if (!context.argIs(index, 'NOLOOP')) {
      reply.error(SYNTAX_ERROR);
      return null;
    }
  }
  return options;
}

/** Which options do not go together, as an error; '' if all do. */
function conflict({ isBroadcast, isOptIn, isOptOut, prefixes }: TrackingOptions): string {
  if (!isBroadcast && prefixes.length > 0) return 'ERR PREFIX option requires BCAST mode to be enabled';
  if (isBroadcast && (isOptIn || isOptOut)) return 'ERR OPTIN and OPTOUT are not compatible with BCAST';
  if (isOptIn && isOptOut) return "ERR You can't specify both OPTIN mode and OPTOUT mode";
  for (const [index, prefix] of prefixes.entries()) {
    const other = prefixes
      .slice(index + 1)
      .find((next) => prefix.startsWith(next) || next.startsWith(prefix));
    if (other === undefined) continue;
    return `ERR Prefix '${prefix}' overlaps with another provided prefix '${other}'. Prefixes for a single client must not overlap.`;
  }
  return '';
}

function tracking(context: CommandContext): void {
  const { reply } = context;
  const options = readOptions(context);
  if (options === null) return;
  if (context.argIs(2, 'ON')) reply.error(conflict(options) || 'ERR Client tracking is not supported');
  else if (context.argIs(2, 'OFF')) reply.ok();
  else reply.error(SYNTAX_ERROR);
}

function caching(context: CommandContext): void {
  context.reply.error(
    'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
  );
}

function getRedirect(context: CommandContext): void {
  context.reply.integer(-1);
}

function trackingInfo(context: CommandContext): void {
  const { reply } = context;
  reply.map(3);
  reply.bulkString('flags');
  reply.set(1);
  reply.bulkString('off');
  reply.bulkString('redirect');
  reply.integer(-1);
  reply.bulkString('prefixes');
  reply.array(0);
}

export const clientTrackingHandlers: Readonly<Record<string, Handler>> = {
  'CLIENT CACHING': caching,
  'CLIENT GETREDIR': getRedirect,
  'CLIENT TRACKING': tracking,
  'CLIENT TRACKINGINFO': trackingInfo,
};
