/** DEBUG: what test suites and benchmarks use to look inside and to make things happen. */

import type { CommandContext } from '../../execution/context.js';
import { NO_SUCH_KEY, NOT_AN_INTEGER, wrongArity } from '../../execution/errors.js';
import { CommandRequest } from '../../execution/request.js';
import type { Handler } from '../../execution/table/command-table.js';
import { keyLength, keyOffset, ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { writeInteger } from '../../memory/numbers.js';
import { copyBytes } from '../../structures/copy.js';
import { TablePosition } from '../../structures/dictionary.js';
import { GlobPattern } from '../../structures/glob.js';
import { sleep } from '../../system/wait.js';
import { helpHandler } from '../connection/help.js';
import { encodingName } from '../keys/object.js';
import { reloadAppendOnly } from './append-only.js';
import { rewriteConfig } from './config.js';
import { Digest } from './data-digest.js';
import { reload } from './save.js';

const textEncoder = new TextEncoder();
/** 128 + SIGSEGV, as a shell reports it. */
const SEGFAULT_EXIT_CODE = 139;
const LETTER_A = 0x61;
const VALUE_PREFIX = textEncoder.encode('value:');

/** POPULATE count [prefix [size]]: creates the keys prefix:0, prefix:1 … that are not there yet. */
function populate(context: CommandContext): void {
  if (!context.integer(2)) return;
  const count = context.number.value;
  const prefix = textEncoder.encode(`${context.argCount > 3 ? context.argLatin1(3) : 'key'}:`);
  let size = 0;
  if (context.argCount > 4) {
    if (!context.integer(4)) return;
    size = context.number.value;
  }
  // The keys are made up as if they were arguments, in one buffer: "prefix:N" and "value:N".
  const bytes = new Uint8Array(prefix.length + 64);
  const valueStart = prefix.length + 32;
  bytes.set(prefix);
  bytes.set(VALUE_PREFIX, valueStart);
  const pairs = new Int32Array(4);
  const { request } = context;
  context.select(new CommandRequest(bytes, new DataView(bytes.buffer), pairs, 0, 2));
  for (let number = 0; number < count; number++) {
    pairs[3] = prefix.length + writeInteger(bytes, prefix.length, number);
    const digits = writeInteger(bytes, valueStart + VALUE_PREFIX.length, number);
    context.selectKey(1);
    const { shard } = context;
    context.lockShard(shard);
    const isDone =
      context.findWrite(1) !== 0 || populateValue(context, valueStart, VALUE_PREFIX.length + digits, size);
    context.unlockShard(shard);
    if (!isDone) {
      context.select(request);
      return;
    }
  }
  context.select(request);
  context.reply.ok();
}

/** Gives the selected key the text at `textOffset`, cut or filled with zeros to `size` bytes if that is not 0. */
function populateValue(
  context: CommandContext,
  textOffset: number,
  textBytes: number,
  size: number,
): boolean {
  const lengthBytes = size === 0 ? textBytes : size;
  if (!context.putValue(ValueType.String, lengthBytes, -1)) return false;
  const { shard } = context;
  const offset = context.valueOffset;
  const copied = Math.min(textBytes, lengthBytes);
  copyBytes(shard.bytes, shard.view, offset, context.bytes, context.view, textOffset, copied);
  shard.bytes.fill(0, offset + copied, offset + lengthBytes);
  context.changed(KeyEvent.Set);
  return true;
}

function describeObject(context: CommandContext): void {
  context.selectKey(2);
  const { shard } = context;
  context.lockShard(shard);
  if (context.peekExpired(2) === 0) context.reply.error(NO_SUCH_KEY);
  else {
    const encoding = encodingName(context);
    context.reply.simple(
      `Value at:0x${context.entry.toString(16).padStart(12, '0')} refcount:1 encoding:${encoding} serializedlength:${context.valueLength + 1} lru:${shard.words[context.entry >> 2] >>> 8} lru_seconds_idle:0`,
    );
  }
  context.unlockShard(shard);
}

/** One reply of each type, for client libraries to try their parsers on. */
function protocolSample(context: CommandContext): void {
  const { reply } = context;
  switch (context.argText(2).toLowerCase()) {
    case 'string':
      reply.bulkString('Hello World');
      break;
    case 'integer':
      reply.integer(12345);
      break;
    case 'double':
      // biome-ignore lint/suspicious/noApproximativeNumericConstant: the sample value that clients expect
      reply.double(3.141);
      break;
    case 'null':
      reply.nullBulk();
      break;
    case 'array':
      reply.array(3);
      for (let index = 0; index < 3; index++) reply.integer(index);
      break;
    case 'set':
      reply.set(3);
      for (let index = 0; index < 3; index++) reply.integer(index);
      break;
    case 'map':
      reply.map(3);
      for (let index = 0; index < 3; index++) {
        reply.integer(index);
        reply.boolean(index === 1);
      }
      break;
    case 'attrib':
      if (reply.protocol === 3) {
        reply.attribute(1);
        reply.bulkString('key-popularity');
        reply.array(2);
        reply.bulkString('key:123');
        reply.integer(90);
      }
      reply.bulkString('Some real reply following the attribute');
      break;
    case 'push':
      if (reply.protocol === 2) {
        reply.error('ERR RESP2 is not supported by this command');
        break;
      }
      reply.push(2);
      reply.bulkString('server-cpu-usage');
      reply.integer(42);
      // A push is not a reply.
      reply.bulkString('Some real reply following the push reply');
      break;
    case 'verbatim':
      reply.verbatim('This is a verbatim\nstring', 'txt');
      break;
    case 'true':
      reply.boolean(true);
      break;
    case 'false':
      reply.boolean(false);
      break;
    case 'bignum':
      reply.bigNumber('1234567999999999999999999999999999999');
      break;
    default:
      reply.error(
        'ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false',
      );
  }
}

/** One digest of all keys that are not past their expiry, as of one moment. */
function digestAll(context: CommandContext): void {
  context.reply.simple(context.withAllLocks(() => digestOf(context)));
}

function digestOf({ keyspace, nowMs }: CommandContext): string {
  const whole = new Digest();
  for (let database = 0; database < keyspace.databaseCount; database++) {
    let isEmpty = true;
    for (const shard of keyspace.shards) {
      const { words, bytes, dictionary } = shard;
      const position = new TablePosition();
      while (dictionary.readLine(shard.root(database), position)) {
        for (let index = 0; index < dictionary.scannedCount; index++) {
          const entry = dictionary.scanned[index];
          if (shard.isPastExpiry(entry, nowMs)) continue;
          if (isEmpty) whole.mixNumber(database);
          isEmpty = false;
          const digest = new Digest();
          const offset = keyOffset(words, entry);
          digest.mix(bytes.subarray(offset, offset + keyLength(words, entry)));
          digest.mixEntry(shard, entry);
          whole.addDigest(digest);
        }
      }
    }
  }
  return whole.toString();
}

function digestValues(context: CommandContext): void {
  context.reply.array(context.argCount - 2);
  for (let index = 2; index < context.argCount; index++) {
    context.selectKey(index);
    const { shard } = context;
    const digest = new Digest();
    context.lockShard(shard);
    const entry = context.peek(index);
    if (entry !== 0) digest.mixEntry(shard, entry);
    context.unlockShard(shard);
    context.reply.simple(digest.toString());
  }
}

/** Matches a pattern against a number of letters 'a'. */
function matchRepeated(context: CommandContext): void {
  if (!context.integer(2)) return;
  const length = context.number.value;
  if (length < 0 || length > context.services.maxBulkLengthBytes) {
    context.reply.error(NOT_AN_INTEGER);
    return;
  }
  const text = new Uint8Array(length).fill(LETTER_A);
  context.reply.integer(new GlobPattern(context.argCopy(3)).matches(text, 0, length) ? 1 : 0);
}

/** The number that a text begins with, as strtod reads it; 0 for none or one that is no time. */
function leadingSeconds(text: string): number {
  const seconds = Number.parseFloat(text);
  return Number.isFinite(seconds) ? Math.max(0, seconds) : 0;
}

/** Takes all locks, so that no structure is checked in the middle of a change. */
function verify(context: CommandContext): void {
  const { keyspace, reply } = context;
  if (context.inTransaction) {
    reply.error('ERR DEBUG VERIFY is not allowed in transactions');
    return;
  }
  const problem = context.withAllLocks(() => {
    try {
      keyspace.verify();
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  });
  if (problem === '') reply.ok();
  else reply.error(`ERR ${problem}`);
}

/** LISTPACK key */
function describeListpack(context: CommandContext): void {
  const { reply, services } = context;
  context.selectKey(2);
  const { shard } = context;
  context.lockShard(shard);
  const isThere = context.peek(2) !== 0;
  const isListpack = isThere && encodingName(context) === 'listpack';
  let text = '';
  if (isListpack) {
    const collection = shard.collection(context.entryType);
    const at = context.valueOffset;
    text = `${collection.usedBytes(at, 0)} bytes, ${collection.count(at)} elements`;
  }
  context.unlockShard(shard);
  if (!isThere) {
    reply.error(NO_SUCH_KEY);
  } else if (isListpack) {
    services.log(`DEBUG LISTPACK ${context.argText(2)}: ${text}`);
    reply.simple('Listpack structure printed on stdout');
  } else {
    reply.error('ERR Not a listpack encoded object.');
  }
}

const help = helpHandler('DEBUG', [
  'CHANGE-REPL-ID',
  '    Does nothing.',
  'CONFIG-REWRITE-FORCE-ALL',
  '    Like CONFIG REWRITE, but write all directives, also those that have their defaults.',
  'DICT-RESIZING <0|1>',
  '    Does nothing.',
  'DIGEST',
  '    Show a digest of all keys and values; equal data has equal digests.',
  'DIGEST-VALUE <key> [<key> ...]',
  '    Show a digest of the value of each key, zeros for no value.',
  'ERROR <string>',
  '    Reply with an error of this text, for tests of client libraries.',
  'LISTPACK <key>',
  '    Write to the log what the listpack at <key> takes.',
  'LOADAOF',
  '    Empty the server and load the append-only file.',
  'LOG <message>',
  '    Write a message to the log.',
  'OBJECT <key>',
  '    Show how the value of <key> is kept.',
  'PANIC',
  '    Crash the server by an exception.',
  'POPULATE <count> [<prefix>] [<size>]',
  '    Create <count> strings with the keys <prefix>:0, <prefix>:1 and so on',
  "    (default prefix: 'key'), of <size> bytes if that is given.",
  'PROTOCOL <type>',
  '    Reply with a sample of a type: string, integer, double, bignum, null,',
  '    array, set, map, attrib, push, verbatim, true, false.',
  'QUICKLIST-PACKED-THRESHOLD <size>',
  '    Does nothing.',
  'RELOAD [NOSAVE] [NOFLUSH] [MERGE]',
  '    Save the data, empty the server and load the data again.',
  'REPLYBUFFER <subcommand> <value>',
  '    Does nothing.',
  'SEGFAULT',
  '    Crash the server by ending the thread.',
  'SET-ACTIVE-EXPIRE <0|1>',
  '    Stop or resume deleting expired keys that nobody asks for.',
  'SET-DISABLE-DENY-SCRIPTS <0|1>',
  '    Let scripts call any command, or not.',
  'SET-SKIP-CHECKSUM-VALIDATION <0|1>',
  '    Let RESTORE take payloads whose checksum is wrong, or not.',
  'SLEEP <seconds>',
  '    Keep this thread busy. Fractions are allowed.',
  'STRINGMATCH-LEN <length> <pattern>',
  "    Match a pattern against so many times 'a': 1 if it matches, else 0.",
  'VERIFY',
  '    Check the data structures of all shards; an error says what is broken.',
]);

function debug(context: CommandContext): void {
  const { reply, argCount, services } = context;
  if (!services.isDebugAllowed(context.session)) {
    reply.error(
      'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.',
    );
    return;
  }
  if (argCount < 2) {
    reply.error(wrongArity('debug'));
    return;
  }
  const name = context.argText(1).toUpperCase();
  if (name === 'SLEEP' && argCount === 3) {
    sleep(leadingSeconds(context.argText(2)) * 1000);
    reply.ok();
  } else if (name === 'HELP' && argCount === 2) help(context);
  else if (name === 'POPULATE' && argCount >= 3 && argCount <= 5) populate(context);
  else if (name === 'DIGEST' && argCount === 2) digestAll(context);
  else if (name === 'DIGEST-VALUE' && argCount >= 2) digestValues(context);
  else if (name === 'STRINGMATCH-LEN' && argCount === 4) matchRepeated(context);
  else if (name === 'OBJECT' && argCount >= 3) describeObject(context);
  else if (name === 'PROTOCOL' && argCount === 3) protocolSample(context);
  else if (name === 'SET-DISABLE-DENY-SCRIPTS' && argCount === 3) {
    services.state.scriptCache.allowsAnyCommand = context.argIs(2, '1');
    reply.ok();
  } else if (name === 'SET-ACTIVE-EXPIRE' && argCount === 3) {
    services.state.control.isActiveExpireOn = context.argText(2) !== '0';
    reply.ok();
  } else if (name === 'SET-SKIP-CHECKSUM-VALIDATION' && argCount === 3) {
    services.state.control.ignoresChecksums = context.argText(2) !== '0';
    reply.ok();
  } else if (name === 'ERROR' && argCount === 3) reply.error(context.argLatin1(2));
  else if (name === 'LOG' && argCount === 3) {
    services.log(`DEBUG LOG: ${context.argText(2)}`, 'warning');
    reply.ok();
  } else if ((name === 'QUICKLIST-PACKED-THRESHOLD' || name === 'REPLYBUFFER') && argCount >= 3) reply.ok();
  else if (name === 'CHANGE-REPL-ID' && argCount === 2) reply.ok();
  else if (name === 'CONFIG-REWRITE-FORCE-ALL' && argCount === 2) rewriteConfig(context, true);
  else if (name === 'DICT-RESIZING' && argCount === 3) reply.ok();
  else if (name === 'LISTPACK' && argCount === 3) describeListpack(context);
  else if (name === 'LOADAOF' && argCount === 2) reloadAppendOnly(context);
  else if (name === 'RELOAD' && argCount >= 2) reload(context);
  else if (name === 'VERIFY' && argCount === 2) verify(context);
  else if (name === 'PANIC') throw new Error('DEBUG PANIC');
  else if (name === 'SEGFAULT') process.exit(SEGFAULT_EXIT_CODE);
  else {
    reply.error(
      `ERR unknown subcommand or wrong number of arguments for '${context.argQuoted(1).slice(0, 128)}'. Try DEBUG HELP.`,
    );
  }
}

export const debugHandlers: Readonly<Record<string, Handler>> = { DEBUG: debug };
