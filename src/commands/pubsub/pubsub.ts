/** Publishing and subscribing: SUBSCRIBE and its relatives, PUBLISH, SPUBLISH, PUBSUB. */

import type { CommandContext } from '../../execution/context.js';
import { OUT_OF_MEMORY } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ChannelKind } from '../../pubsub/channel-registry.js';
import { GlobPattern } from '../../structures/glob.js';
import { helpHandler } from '../connection/help.js';

/** What the replies to subscribing and unsubscribing begin with, by ChannelKind. */
const SUBSCRIBED = ['subscribe', 'ssubscribe', 'psubscribe'];
const UNSUBSCRIBED = ['unsubscribe', 'sunsubscribe', 'punsubscribe'];

/** Channels and patterns are counted together, channels of SSUBSCRIBE separately. */
function countOf(context: CommandContext, kind: ChannelKind): number {
  const { subscribed } = context.session;
  if (subscribed === null) return 0;
  return kind === ChannelKind.Shard ? subscribed.count(kind) : subscribed.plainCount;
}

function subscribe(context: CommandContext, kind: ChannelKind): void {
  const { reply, session, services } = context;
  for (let index = 1; index < context.argCount; index++) {
    if (!services.subscriptions.subscribe(session, kind, context.argCopy(index))) {
      reply.error(OUT_OF_MEMORY);
      return;
    }
    reply.push(3);
    reply.bulkString(SUBSCRIBED[kind]);
    reply.bulkCopy(context.bytes, context.view, context.argOffset(index), context.argLength(index));
    reply.integer(countOf(context, kind));
  }
}

function replyUnsubscribed(context: CommandContext, kind: ChannelKind, name: Uint8Array | null): void {
  const { reply } = context;
  reply.push(3);
  reply.bulkString(UNSUBSCRIBED[kind]);
  if (name === null) reply.nullBulk();
  else reply.bulkBuffer(name);
  reply.integer(countOf(context, kind));
}

function unsubscribe(context: CommandContext, kind: ChannelKind): void {
  const { session, services, argCount } = context;
  const names =
    argCount > 1
      ? Array.from({ length: argCount - 1 }, (_, index) => context.argCopy(index + 1))
      : [...(session.subscribed?.names[kind] ?? [])].map((text) => Buffer.from(text, 'latin1'));
  for (const name of names) {
    services.subscriptions.unsubscribe(session, kind, name);
    replyUnsubscribed(context, kind, name);
  }
  if (names.length === 0) replyUnsubscribed(context, kind, null);
}

/** Records the message for the subscribers of replicas; within a transaction, as a part of it. */
function replicate(context: CommandContext): void {
  const { journal } = context.keyspace;
  const { ring } = journal;
  if (!ring.isReplicationOn || ring.isReplica) return;
  const { bytes, view, pairs, start, count } = context.request;
  if (context.inTransaction) journal.request(context.database, bytes, view, pairs, start, count);
  else journal.appendMessage(bytes, view, pairs, start, count);
}

/** In a transaction the message leaves when the changes become visible; the reply counts the present subscribers. */
function publish(context: CommandContext, kind: ChannelKind): void {
  const { bytes, view, services } = context;
  const channel = context.argOffset(1);
  const channelLength = context.argLength(1);
  const message = context.argOffset(2);
  const messageLength = context.argLength(2);
  let subscribers: number;
  if (context.inTransaction) {
    subscribers = services.publisher.count(kind, bytes, view, channel, channelLength);
    services.notices.noteMessage(kind, bytes, view, channel, channelLength, message, messageLength);
  } else {
    subscribers = services.publisher.publish(
      kind,
      bytes,
      view,
      channel,
      channelLength,
      message,
      messageLength,
    );
  }
  replicate(context);
  context.reply.integer(subscribers);
}

function channels(context: CommandContext, kind: ChannelKind): void {
  const { reply, services, argCount } = context;
  if (argCount > 3) {
    const subcommand = context.argQuoted(1).slice(0, 128);
    reply.error(`ERR unknown subcommand or wrong number of arguments for '${subcommand}'. Try PUBSUB HELP.`);
    return;
  }
  const pattern = argCount === 3 ? new GlobPattern(context.argCopy(2)) : null;
  const found = services.publisher.registry
    .list(kind)
    .filter(({ name }) => pattern === null || pattern.matches(name, 0, name.length));
  reply.array(found.length);
  for (const { name } of found) reply.bulkBuffer(name);
}

function subscriberCounts(context: CommandContext, kind: ChannelKind): void {
  const { reply, argCount, bytes, view, services } = context;
  reply.array(2 * (argCount - 2));
  for (let index = 2; index < argCount; index++) {
    const offset = context.argOffset(index);
    const length = context.argLength(index);
    reply.bulkCopy(bytes, view, offset, length);
    reply.integer(services.publisher.registry.subscribers(kind, bytes, view, offset, length));
  }
}

const help = helpHandler('PUBSUB', [
  'CHANNELS [<pattern>]',
  "    Return the currently active channels matching a <pattern> (default: '*').",
  'NUMPAT',
  '    Return number of subscriptions to patterns.',
  'NUMSUB [<channel> ...]',
  '    Return the number of subscribers for the specified channels, excluding',
  '    pattern subscriptions(default: no channels).',
  'SHARDCHANNELS [<pattern>]',
  "    Return the currently active shard level channels matching a <pattern> (default: '*').",
  'SHARDNUMSUB [<shardchannel> ...]',
  '    Return the number of subscribers for the specified shard level channel(s)',
]);

export const pubsubHandlers: Readonly<Record<string, Handler>> = {
  PSUBSCRIBE: (context) => subscribe(context, ChannelKind.Pattern),
  PUBLISH: (context) => publish(context, ChannelKind.Plain),
  'PUBSUB CHANNELS': (context) => channels(context, ChannelKind.Plain),
  'PUBSUB HELP': help,
  'PUBSUB NUMPAT': (context) =>
    context.reply.integer(context.services.publisher.registry.count(ChannelKind.Pattern)),
  'PUBSUB NUMSUB': (context) => subscriberCounts(context, ChannelKind.Plain),
  'PUBSUB SHARDCHANNELS': (context) => channels(context, ChannelKind.Shard),
  'PUBSUB SHARDNUMSUB': (context) => subscriberCounts(context, ChannelKind.Shard),
  PUNSUBSCRIBE: (context) => unsubscribe(context, ChannelKind.Pattern),
  SPUBLISH: (context) => publish(context, ChannelKind.Shard),
  SSUBSCRIBE: (context) => subscribe(context, ChannelKind.Shard),
  SUBSCRIBE: (context) => subscribe(context, ChannelKind.Plain),
  SUNSUBSCRIBE: (context) => unsubscribe(context, ChannelKind.Shard),
  UNSUBSCRIBE: (context) => unsubscribe(context, ChannelKind.Plain),
};
