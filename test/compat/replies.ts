/**
 * When two replies count as equal. Byte for byte, save for the few commands whose replies depend on the
 * clock, on chance or on the process; of these the rest of the reply is still compared.
 */

import { Buffer } from 'node:buffer';
import { findReplyEnd } from '../tools/raw-client.js';
import type { Word } from './vocabulary.js';

/** How far two clocks may be apart: the servers run the same command one after the other. */
const CLOCK_TOLERANCE_MS = 300;
const CLOCK_TOLERANCE_S = 1;

/** Number behind the type byte of an integer reply; NaN if it is none. */
function integerOf(reply: Buffer): number {
  return reply[0] === 0x3a ? Number(reply.toString('latin1', 1, reply.length - 2)) : Number.NaN;
}

/** Splits an aggregate reply into its elements' bytes; null if it is no aggregate. */
export function elementsOf(reply: Buffer): Buffer[] | null {
  const type = String.fromCharCode(reply[0]!);
  if (!'*~%>'.includes(type)) return null;
  let at = reply.indexOf('\r\n') + 2;
  const elements: Buffer[] = [];
  while (at < reply.length) {
    const end = findReplyEnd(reply, at);
    elements.push(reply.subarray(at, end));
    at = end;
  }
  return elements;
}

/** Type and count of an aggregate. */
function headOf(reply: Buffer): string {
  return reply.toString('latin1', 0, reply.indexOf('\r\n'));
}

type Comparison = (a: Buffer, b: Buffer) => boolean;

/** Integers that may differ by some milliseconds or seconds; -1 and -2 have a meaning of their own. */
const within =
  (tolerance: number): Comparison =>
  (a, b) => {
    const x = integerOf(a);
    const y = integerOf(b);
    return x >= 0 && y >= 0 && Math.abs(x - y) <= tolerance;
  };

/** Times that differ by a little at most, or that are both at or beyond what Damselfly keeps exactly. */
const sameTime = (tolerance: number, exactMax: number): Comparison => {
  const isNear = within(tolerance);
  const isBeyond = (reply: Buffer) => integerOf(reply) >= exactMax - Date.now() - tolerance;
  return (a, b) => isNear(a, b) || (isBeyond(a) && isBeyond(b));
};

const anyIntegers: Comparison = (a, b) => integerOf(a) >= 0 && integerOf(b) >= 0;

const anyReplies: Comparison = () => true;

const sameType: Comparison = (a, b) =>
  a[0] === b[0] && a.equals(b.subarray(0, 3)) === b.equals(a.subarray(0, 3));

/** The same elements in any order. */
const sameElements: Comparison = (a, b) => {
  const x = elementsOf(a);
  const y = elementsOf(b);
  if (!x || !y || headOf(a) !== headOf(b)) return false;
  const sorted = (elements: Buffer[]) => elements.map((element) => element.toString('latin1')).sort();
  return sorted(x).join() === sorted(y).join();
};

/** The same pairs in any order: a hash. */
const samePairs: Comparison = (a, b) => {
  const x = elementsOf(a);
  const y = elementsOf(b);
  if (!x || !y || headOf(a) !== headOf(b)) return false;
  const sorted = (words: Buffer[]) =>
    words.flatMap((word, index) => (index % 2 === 0 ? [`${word}${words[index + 1]}`] : [])).sort();
  return sorted(x).join() === sorted(y).join();
};

const SCAN_END = Buffer.from('$1\r\n0\r\n');

/** A scan that ends at once: the same elements in any order. How far others get is each server's affair. */
const sameScan: Comparison = (a, b) => {
  const x = elementsOf(a);
  const y = elementsOf(b);
  if (x?.length !== 2 || y?.length !== 2) return false;
  return !x[0]!.equals(SCAN_END) || !y[0]!.equals(SCAN_END) || sameElements(x[1]!, y[1]!);
};

const sameHead: Comparison = (a, b) => headOf(a) === headOf(b) && elementsOf(a) !== null;

/** The same type, and of aggregates the same count. */
const sameKind: Comparison = (a, b) => (elementsOf(a) === null ? sameType(a, b) : sameHead(a, b));

/** HELLO: all but the connection's id. */
const sameButId: Comparison = (a, b) => maskId(a.toString('latin1')) === maskId(b.toString('latin1'));

/** The bytes of a bulk string, one character each. */
export function bulkText(reply: Buffer): string {
  return reply.toString('latin1', reply.indexOf('\n') + 1, reply.length - 2);
}

/** Output with the connection's id in replies to HELLO made 0. */
export function maskId(output: string): string {
  return output.replace(/(\$2\r\nid\r\n):\d+/g, '$1:0');
}

/** LOLWUT: bulk strings that end with the same line's version; the pictures are each server's own. */
const sameVersion: Comparison = (a, b) => {
  const version = (reply: Buffer) => /^[$=].*(Redis ver\. .*\n\r\n)$/s.exec(reply.toString('latin1'))?.[1];
  return version(a) !== undefined && version(a) === version(b);
};

/** HELP: the same title and the same end; what is between are each server's own words. */
const sameHelp: Comparison = (a, b) => {
  const frame = (reply: Buffer) => elementsOf(reply)?.filter((_, i, all) => i === 0 || i >= all.length - 2);
  return elementsOf(a) !== null && String(frame(a)) === String(frame(b));
};
/** Small sets and lists are packed lists, as from Redis 7.2 on; Redis 7.0 has other encodings for them. */
const sameOrPacked: Comparison = (a, b) =>
  ['hashtable', 'quicklist'].some((name) => a.includes(name)) && b.includes('listpack');

/** XPENDING: entries whose idle times differ a little; the summary is compared byte for byte. */
const samePending: Comparison = (a, b) => {
  const x = elementsOf(a);
  const y = elementsOf(b);
  if (!x || !y || headOf(a) !== headOf(b)) return false;
  return x.every((entry, i) => {
    const p = elementsOf(entry);
    const q = elementsOf(y[i]!);
    if (p?.length !== 4 || q?.length !== 4) return false;
    return p.every((part, j) => (j === 2 ? within(CLOCK_TOLERANCE_MS)(part, q[j]!) : part.equals(q[j]!)));
  });
};

/** XINFO GROUPS: all but the numbers of consumers, since Redis 7.0 does not make one that gets no entry. */
const sameGroups: Comparison = (a, b) => {
  const mask = (reply: Buffer) => reply.toString('latin1').replace(/(consumers\r\n:)\d+/g, '$10');
  return mask(a) === mask(b);
};

/** XINFO CONSUMERS: those with pending entries, and how many they have. Redis 7.0 has no "inactive". */
const sameConsumers: Comparison = (a, b) => {
  const busy = (reply: Buffer) =>
    elementsOf(reply)
      ?.map((entry) => elementsOf(entry)?.slice(0, 4).join(''))
      .filter((entry) => !entry?.includes('pending\r\n:0\r\n'))
      .join();
  return elementsOf(a) !== null && busy(a) === busy(b);
};

/** XINFO STREAM FULL: up to the consumers of the first group; times differ a little, and nodes of Redis's tree are
 * not compared. Redis 7.0 has no "nacked-count". */
const sameStream: Comparison = (a, b) => {
  const visible = (reply: Buffer) =>
    reply
      .toString('latin1')
      .split('consumers\r\n')[0]!
      .replace(/[*%]\d+(\r\n\$4\r\nname)/, '$1')
      .replace(/:\d{13}\r\n/g, ':0\r\n')
      .replace(/(radix-tree-(?:keys|nodes)\r\n:)\d+/g, '$10');
  return visible(a) === visible(b);
};

/** The first byte of a payload of a stream. */
const STREAM_PAYLOAD = 0x13;

/** DUMP of a stream: times of deliveries are in it. */
const samePayloadOfStream: Comparison = (a, b) => {
  const typeOf = (reply: Buffer) => reply[reply.indexOf('\r\n') + 2];
  return typeOf(a) === STREAM_PAYLOAD && typeOf(b) === STREAM_PAYLOAD;
};

const byStreamSubcommand: Record<string, Comparison> = {
  groups: sameGroups,
  consumers: sameConsumers,
  stream: sameStream,
};

const byObjectSubcommand: Record<string, Comparison> = {
  encoding: sameOrPacked,
  // Redis keeps small integers once for all keys, with one access clock.
  idletime: anyIntegers,
  refcount: anyIntegers,
};

export interface CompareContext {
  /** Whether keys expire while the script runs. */
  hasShortLived: boolean;
  /** Whether it has numbers beyond the range of doubles. */
  hasRangeErrors: boolean;
}

/**
 * SORT of redis-server looks at an errno that some earlier command may have left behind by parsing a number beyond the
 * range, and then takes any element for no number.
 */
const sameUnlessStaleError: Comparison = (a, b) =>
  a.toString('latin1') === "-ERR One or more scores can't be converted into double\r\n" && b[0] !== 0x2d;

/** SORT: to redis-server texts that differ behind a zero byte only are equal, and their order is chance. */
const sameUpToZeroBytes: Comparison = (a, b) => {
  const visible = (reply: Buffer) =>
    elementsOf(reply)?.map((element) => /^[^\r]*\r\n([^\0\r]*)/.exec(element.toString('latin1'))?.[1]);
  return sameElements(a, b) && visible(a)?.join() === visible(b)?.join();
};

function lower(word: Word | undefined): string {
  return word === undefined ? '' : word.toString('latin1' as never).toLowerCase();
}

function comparisonFor(args: readonly Word[], context: CompareContext): Comparison | null {
  const name = lower(args[0]);
  const subcommand = lower(args[1]);
  if (subcommand === 'help') return sameHelp;
  switch (name) {
    case 'ttl':
    case 'expiretime':
      return sameTime(CLOCK_TOLERANCE_S, Number.MAX_SAFE_INTEGER / 1000);
    case 'pttl':
    case 'pexpiretime':
      return sameTime(CLOCK_TOLERANCE_MS, Number.MAX_SAFE_INTEGER);
    case 'slowlog':
      // What is slow is each server's affair.
      return subcommand === 'get' || subcommand === 'len' ? sameType : null;
    case 'sort':
    case 'sort_ro':
      return (a, b) => sameUpToZeroBytes(a, b) || (context.hasRangeErrors && sameUnlessStaleError(a, b));
    case 'randomkey':
      return sameType;
    case 'keys':
    case 'smembers':
    case 'sinter':
    case 'sunion':
    case 'sdiff':
    case 'spop':
    case 'srandmember':
      return sameElements;
    case 'hscan':
    case 'sscan':
    case 'zscan':
      return lower(args[2]) === '0' ? sameScan : sameHead;
    case 'scan':
      return sameHead;
    case 'zrandmember':
      return sameKind;
    case 'time':
      return sameHead;
    case 'lastsave':
      return anyIntegers;
    case 'dbsize':
      return context.hasShortLived ? anyIntegers : null;
    case 'hgetall':
      return samePairs;
    case 'hkeys':
    case 'hvals':
    case 'hrandfield':
      return sameElements;
    case 'xpending':
      return samePending;
    case 'xinfo':
      return byStreamSubcommand[subcommand] ?? null;
    case 'xgroup':
      // Redis 7.0 does not make a consumer that gets no entry, so here it may be there already.
      return subcommand === 'createconsumer' ? anyIntegers : null;
    case 'dump':
      return samePayloadOfStream;
    case 'hello':
      return sameButId;
    case 'object':
      return byObjectSubcommand[subcommand] ?? null;
    case 'debug':
      // It looks at keys that have expired, too, until they are gone.
      return subcommand === 'digest-value' && context.hasShortLived ? anyReplies : null;
    case 'memory':
      // It tells the size of keys that have expired, too, until they are gone.
      if (subcommand === 'usage') return context.hasShortLived ? anyReplies : anyIntegers;
      return null;
    case 'lolwut':
      return sameVersion;
    case 'command':
      return subcommand === 'list' ? sameElements : null;
    case 'config':
      return subcommand === 'get' ? sameElements : null;
    case 'client':
      if (subcommand === 'list' || subcommand === 'info') return sameType;
      return subcommand === 'id' ? anyIntegers : null;
    default:
      return null;
  }
}

/** Whether both replies to a command are as they should be. `queued`: what an EXEC executes. */
export function repliesAgree(
  args: readonly Word[],
  a: Buffer,
  b: Buffer,
  context: CompareContext,
  queued: readonly (readonly Word[])[] | null,
): boolean {
  if (a.equals(b)) return true;
  const name = lower(args[0]);
  if (name === 'exec' && queued) {
    const x = elementsOf(a);
    const y = elementsOf(b);
    if (!x || !y || x.length !== queued.length || y.length !== queued.length) return false;
    return queued.every((command, i) => repliesAgree(command, x[i]!, y[i]!, context, null));
  }
  return comparisonFor(args, context)?.(a, b) ?? false;
}
