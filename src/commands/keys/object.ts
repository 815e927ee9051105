/** OBJECT: how a value is kept. */

import { EvictionPolicy } from '../../config/keyspace-settings.js';
import type { CommandContext } from '../../execution/context.js';
import type { Handler } from '../../execution/table/command-table.js';
import { lfuCounter, lruIdleMs } from '../../keyspace/access-clock.js';
import { EntryFlag, entryAccess, entryFlags, ValueType } from '../../keyspace/entry.js';
import { ENCODING_NAMES } from '../../structures/collection-value.js';
import { helpHandler } from '../connection/help.js';

const EMBEDDED_STRING_BYTES_MAX = 44;
/** Integers from 0 on that Redis shares, and the references that it reports for each. */
const SHARED_INTEGERS = 10_000;
const SHARED_REFERENCES = 2 ** 31 - 1;
const CLOCK_POLICIES: ReadonlySet<EvictionPolicy> = new Set([
  EvictionPolicy.AllKeysLru,
  EvictionPolicy.AllKeysLfu,
  EvictionPolicy.AllKeysLrm,
  EvictionPolicy.VolatileLru,
  EvictionPolicy.VolatileLfu,
  EvictionPolicy.VolatileLrm,
]);
const POLICY_NOTE =
  'Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.';

/** The name of the selected value's encoding, as Redis would report it. */
export function encodingName(context: CommandContext): string {
  const { shard, entry } = context;
  const type = context.entryType;
  if (type !== ValueType.String) return ENCODING_NAMES[shard.collection(type).encoding(context.valueOffset)];
  const flags = entryFlags(shard.words, entry);
  if ((flags & EntryFlag.Raw) !== 0) return 'raw';
  const length = context.valueLength;
  const mayBeInteger = (flags & EntryFlag.Text) === 0 && length <= 20;
  if (mayBeInteger && context.number.parse(shard.bytes, context.valueOffset, length)) return 'int';
  return length <= EMBEDDED_STRING_BYTES_MAX ? 'embstr' : 'raw';
}

function onKey(context: CommandContext, answer: () => void): void {
  if (context.queryQuietly(2) === 0) context.reply.nullBulk();
  else answer();
}

/** Reports small integers as shared, as Redis does, although here each key has a value of its own. */
function refcount(context: CommandContext): void {
  onKey(context, () => {
    const { settings } = context.keyspace;
    // A shared value can't have an access clock for each key.
    const needsClock = settings.maxMemoryBytes > 0 && CLOCK_POLICIES.has(settings.policy);
    const isShared =
      !needsClock &&
      context.entryType === ValueType.String &&
      encodingName(context) === 'int' &&
      context.number.value >= 0 &&
      context.number.value < SHARED_INTEGERS;
    context.reply.integer(isShared ? SHARED_REFERENCES : 1);
  });
}

function idletime(context: CommandContext): void {
  onKey(context, () => {
    if (context.keyspace.settings.usesLfu) {
      context.reply.error(`ERR An LFU maxmemory policy is selected, idle time not tracked. ${POLICY_NOTE}`);
      return;
    }
    const idleMs = lruIdleMs(entryAccess(context.shard.words, context.entry), context.nowMs);
    context.reply.integer(Math.floor(idleMs / 1000));
  });
}

function freq(context: CommandContext): void {
  onKey(context, () => {
    const { settings } = context.keyspace;
    if (!settings.usesLfu) {
      context.reply.error(
        `ERR An LFU maxmemory policy is not selected, access frequency not tracked. ${POLICY_NOTE}`,
      );
      return;
    }
    context.reply.integer(
      lfuCounter(entryAccess(context.shard.words, context.entry), context.nowMs, settings.lfu),
    );
  });
}

export const objectHandlers: Readonly<Record<string, Handler>> = {
  'OBJECT ENCODING': (context) => onKey(context, () => context.reply.bulkString(encodingName(context))),
  'OBJECT REFCOUNT': refcount,
  'OBJECT IDLETIME': idletime,
  'OBJECT FREQ': freq,
  'OBJECT HELP': helpHandler('OBJECT', [
    'ENCODING <key>',
    '    Name the form in which the value of <key> is kept.',
    'FREQ <key>',
    '    Tell how often <key> is used, on a logarithmic scale. Only with an LFU',
    '    eviction policy.',
    'IDLETIME <key>',
    '    Tell for about how many seconds <key> has not been used. Not with an LFU',
    '    eviction policy.',
    'REFCOUNT <key>',
    '    Tell how many references the value of <key> has: one, or 2147483647 for a',
    '    small integer.',
  ]),
};
