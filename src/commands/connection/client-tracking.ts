/** CLIENT TRACKING and what belongs to it: clients that cache what they read, and are told when it changes. */

import type { CommandContext } from '../../execution/context.js';
import { OUT_OF_MEMORY, SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ClientTracking, TrackingMode } from '../../pubsub/client-tracking.js';
import { monotonicMs } from '../../system/clock.js';

interface TrackingOptions {
  redirectId: number;
  redirectSlot: number;
  isBroadcast: boolean;
  isOptIn: boolean;
  isOptOut: boolean;
  noLoop: boolean;
  readonly prefixes: string[];
}

/** Replies an error and returns null if the options are wrong, even if tracking is turned off. */
function readOptions(context: CommandContext): TrackingOptions | null {
  const { reply, argCount } = context;
  const options: TrackingOptions = {
    redirectId: 0,
    redirectSlot: -1,
    isBroadcast: false,
    isOptIn: false,
    isOptOut: false,
    noLoop: false,
    prefixes: [],
  };
  for (let index = 3; index < argCount; index++) {
    const hasNext = index + 1 < argCount;
    if (context.argIs(index, 'REDIRECT') && hasNext) {
      if (!readRedirect(context, ++index, options)) return null;
    } else if (context.argIs(index, 'BCAST')) options.isBroadcast = true;
    else if (context.argIs(index, 'OPTIN')) options.isOptIn = true;
    else if (context.argIs(index, 'OPTOUT')) options.isOptOut = true;
    else if (context.argIs(index, 'NOLOOP')) options.noLoop = true;
    else if (context.argIs(index, 'PREFIX') && hasNext) options.prefixes.push(context.argLatin1(++index));
    else {
      reply.error(SYNTAX_ERROR);
      return null;
    }
  }
  return options;
}

function readRedirect(context: CommandContext, index: number, options: TrackingOptions): boolean {
  const { reply } = context;
  const { clients } = context.services.state;
  if (options.redirectId !== 0) {
    reply.error('ERR A client can only redirect to a single other client');
    return false;
  }
  if (!context.integer(index)) return false;
  options.redirectId = context.number.value;
  const [slot = -1] = clients.select({ ids: new Set([options.redirectId]) }, monotonicMs());
  options.redirectSlot = slot;
  if (slot < 0) reply.error('ERR The client ID you want redirect to does not exist');
  return slot >= 0;
}

function overlaps(one: string, other: string): boolean {
  return one.startsWith(other) || other.startsWith(one);
}

/** The error if options contradict each other or the client's present tracking; '' if they do not. */
function conflict(options: TrackingOptions, tracking: ClientTracking | null): string {
  const { isBroadcast, isOptIn, isOptOut, prefixes } = options;
  if (!isBroadcast && prefixes.length > 0) return 'ERR PREFIX option requires BCAST mode to be enabled';
  const later = 'before disabling tracking for this client, and then re-enabling it with a different mode.';
  if (tracking !== null && (tracking.mode === TrackingMode.Broadcast) !== isBroadcast) {
    return `ERR You can't switch BCAST mode on/off ${later}`;
  }
  if (isBroadcast && (isOptIn || isOptOut)) return 'ERR OPTIN and OPTOUT are not compatible with BCAST';
  if (isOptIn && isOptOut) return "ERR You can't specify both OPTIN mode and OPTOUT mode";
  const mode = tracking?.mode;
  if ((isOptIn && mode === TrackingMode.OptOut) || (isOptOut && mode === TrackingMode.OptIn)) {
    return `ERR You can't switch OPTIN/OPTOUT mode ${later}`;
  }
  return prefixConflict(prefixes, prefixesOf(tracking));
}

function prefixConflict(prefixes: readonly string[], existing: readonly string[]): string {
  const rule = 'Prefixes for a single client must not overlap.';
  for (const [index, prefix] of prefixes.entries()) {
    const old = existing.find((other) => overlaps(prefix, other));
    if (old !== undefined) return `ERR Prefix '${prefix}' overlaps with an existing prefix '${old}'. ${rule}`;
    const other = prefixes.slice(index + 1).find((next) => overlaps(prefix, next));
    if (other === undefined) continue;
    return `ERR Prefix '${prefix}' overlaps with another provided prefix '${other}'. ${rule}`;
  }
  return '';
}

/** In the order of their bytes. */
function prefixesOf(tracking: ClientTracking | null): string[] {
  return (tracking?.prefixes ?? []).map((prefix) => Buffer.from(prefix).toString('latin1')).sort();
}

function modeOf({ isBroadcast, isOptIn, isOptOut }: TrackingOptions): TrackingMode {
  if (isBroadcast) return TrackingMode.Broadcast;
  if (isOptIn) return TrackingMode.OptIn;
  return isOptOut ? TrackingMode.OptOut : TrackingMode.Default;
}

/** The locks of all shards are held. */
function tracking(context: CommandContext): void {
  const { reply, session, services } = context;
  const options = readOptions(context);
  if (options === null) return;
  const isOn = context.argIs(2, 'ON');
  const error = isOn ? conflict(options, session.tracking) : '';
  if (error !== '' || !(isOn || context.argIs(2, 'OFF'))) {
    reply.error(error || SYNTAX_ERROR);
    return;
  }
  const prefixes = new Set(prefixesOf(session.tracking));
  services.invalidations.end(session);
  if (!isOn || start(context, options, prefixes)) reply.ok();
}

/** Replies an error and returns false if there is no memory. */
function start(context: CommandContext, options: TrackingOptions, oldPrefixes: ReadonlySet<string>): boolean {
  const { session, services, keyspace, reply } = context;
  const { noLoop, redirectId, redirectSlot, prefixes, isBroadcast } = options;
  services.invalidations.begin(
    session,
    new ClientTracking(modeOf(options), noLoop, redirectId, redirectSlot),
  );
  if (!isBroadcast) return true;
  for (const prefix of new Set([...oldPrefixes, ...(prefixes.length === 0 ? [''] : prefixes)])) {
    if (services.invalidations.addPrefix(session, Buffer.from(prefix, 'latin1'))) continue;
    services.invalidations.end(session);
    reply.error(OUT_OF_MEMORY);
    return false;
  }
  for (const shard of keyspace.shards) shard.broadcastChanges();
  return true;
}

function caching(context: CommandContext): void {
  const { reply, session } = context;
  if (session.tracking === null) {
    reply.error(
      'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
    );
    return;
  }
  const isYes = context.argIs(2, 'YES');
  if (!isYes && !context.argIs(2, 'NO')) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  if (session.tracking.mode !== (isYes ? TrackingMode.OptIn : TrackingMode.OptOut)) {
    reply.error(
      isYes
        ? 'ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.'
        : 'ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.',
    );
    return;
  }
  session.tracking.isCachingSet = true;
  reply.ok();
}

function getRedirect(context: CommandContext): void {
  context.reply.integer(context.session.tracking?.redirectId ?? -1);
}

function flagsOf(tracking: ClientTracking | null): string[] {
  if (tracking === null) return ['off'];
  const flags = ['on'];
  if (tracking.mode === TrackingMode.Broadcast) flags.push('bcast');
  if (tracking.mode === TrackingMode.OptIn) flags.push('optin');
  if (tracking.mode === TrackingMode.OptIn && tracking.isCachingSet) flags.push('caching-yes');
  if (tracking.mode === TrackingMode.OptOut) flags.push('optout');
  if (tracking.mode === TrackingMode.OptOut && tracking.isCachingSet) flags.push('caching-no');
  if (tracking.noLoop) flags.push('noloop');
  if (tracking.isRedirectBroken) flags.push('broken_redirect');
  return flags;
}

function trackingInfo(context: CommandContext): void {
  const { reply, session } = context;
  const flags = flagsOf(session.tracking);
  const prefixes = prefixesOf(session.tracking);
  reply.map(3);
  reply.bulkString('flags');
  reply.set(flags.length);
  for (const flag of flags) reply.bulkString(flag);
  reply.bulkString('redirect');
  getRedirect(context);
  reply.bulkString('prefixes');
  reply.array(prefixes.length);
  for (const prefix of prefixes) reply.bulkBuffer(Buffer.from(prefix, 'latin1'));
}

export const clientTrackingHandlers: Readonly<Record<string, Handler>> = {
  'CLIENT CACHING': caching,
  'CLIENT GETREDIR': getRedirect,
  'CLIENT TRACKING': tracking,
  'CLIENT TRACKINGINFO': trackingInfo,
};
