/** FUNCTION: libraries of functions. Commands that change them hold the locks of all shards. */

import type { CommandContext } from '../../execution/context.js';
import { recordRequest } from '../../execution/effects.js';
import { RestorePolicy } from '../../execution/scripts/known-functions.js';
import type { Handler } from '../../execution/table/command-table.js';
import { readFunctionSource, writeFunctions } from '../../persistence/function-form.js';
import { RDB_VERSION, RdbError, RdbOpcode } from '../../persistence/rdb-format.js';
import { RdbInput } from '../../persistence/rdb-input.js';
import { RdbOutput } from '../../persistence/rdb-output.js';
import type { Library } from '../../scripting/engine.js';
import { flagNames } from '../../scripting/flags.js';
import { ScriptKind } from '../../state/running-scripts.js';
import { GlobPattern } from '../../structures/glob.js';
import { helpHandler } from '../connection/help.js';
import { FOOTER_BYTES, versionOfPayload } from '../keys/dump.js';
import { killScripts } from './script.js';

/** The libraries have changed. */
function changed(context: CommandContext): void {
  context.keyspace.functionsChanged();
  recordRequest(context);
}

function refuseSyntax(context: CommandContext): void {
  const name = context.argQuoted(1).slice(0, 128);
  context.reply.error(
    `ERR unknown subcommand or wrong number of arguments for '${name}'. Try FUNCTION HELP.`,
  );
}

function load(context: CommandContext): void {
  const { reply, argCount, scripts } = context;
  let replaces = false;
  for (let index = 2; index < argCount - 1; index++) {
    if (!context.argIs(index, 'REPLACE')) {
      reply.error(`ERR Unknown option given: ${context.argQuoted(index)}`);
      return;
    }
    replaces = true;
  }
  const library = scripts.functions.load(context.argCopy(argCount - 1), replaces);
  if (typeof library === 'string') {
    reply.error(library);
    return;
  }
  changed(context);
  reply.bulkString(library.name);
}

function remove(context: CommandContext): void {
  if (!context.scripts.functions.delete(context.argLatin1(2))) {
    context.reply.error('ERR Library not found');
    return;
  }
  changed(context);
  context.reply.ok();
}

function flush(context: CommandContext): void {
  const { reply, argCount } = context;
  if (argCount > 3) {
    refuseSyntax(context);
    return;
  }
  if (argCount === 3 && !context.argIs(2, 'SYNC') && !context.argIs(2, 'ASYNC')) {
    reply.error('ERR FUNCTION FLUSH only supports SYNC|ASYNC option');
    return;
  }
  context.scripts.functions.flush();
  changed(context);
  reply.ok();
}

function list(context: CommandContext): void {
  const { reply, argCount, scripts } = context;
  let hasCode = false;
  let pattern: Uint8Array | null = null;
  for (let index = 2; index < argCount; index++) {
    if (!hasCode && context.argIs(index, 'WITHCODE')) {
      hasCode = true;
    } else if (pattern === null && context.argIs(index, 'LIBRARYNAME')) {
      if (++index === argCount) {
        reply.error('ERR library name argument was not given');
        return;
      }
      pattern = Buffer.from(context.argLatin1(index).toLowerCase(), 'latin1');
    } else {
      reply.error(`ERR Unknown argument ${context.argQuoted(index)}`);
      return;
    }
  }
  const glob = pattern === null ? null : new GlobPattern(pattern);
  const libraries = [...scripts.functions.all().values()].filter(({ name }) => {
    const bytes = Buffer.from(name.toLowerCase(), 'latin1');
    return glob === null || glob.matches(bytes, 0, bytes.length);
  });
  reply.array(libraries.length);
  for (const library of libraries) replyLibrary(context, library, hasCode);
}

function replyLibrary({ reply }: CommandContext, library: Library, hasCode: boolean): void {
  reply.map(hasCode ? 4 : 3);
  reply.bulkString('library_name');
  reply.bulkString(library.name);
  reply.bulkString('engine');
  reply.bulkString(library.engine);
  reply.bulkString('functions');
  reply.array(library.functions.size);
  for (const { name, description, flags } of library.functions.values()) {
    reply.map(3);
    reply.bulkString('name');
    reply.bulkString(name);
    reply.bulkString('description');
    if (description === undefined) reply.nullBulk();
    else reply.bulkBuffer(Buffer.from(description, 'latin1'));
    reply.bulkString('flags');
    const names = flagNames(flags);
    reply.set(names.length);
    for (const flag of names) reply.simple(flag);
  }
  if (!hasCode) return;
  reply.bulkString('library_code');
  reply.bulkBuffer(library.source);
}

function dump({ reply, keyspace, services }: CommandContext): void {
  const output = new RdbOutput();
  output.compresses = services.config.rdbCompression;
  writeFunctions(output, keyspace.functions.sources());
  output.byte(RDB_VERSION);
  output.byte(0);
  output.addToChecksum();
  output.writeChecksum();
  reply.bulkCopy(output.bytes, output.view, 0, output.length);
}

function readPolicy(context: CommandContext): RestorePolicy | null {
  if (context.argCount === 3 || context.argIs(3, 'APPEND')) return RestorePolicy.Append;
  if (context.argIs(3, 'FLUSH')) return RestorePolicy.Flush;
  if (context.argIs(3, 'REPLACE')) return RestorePolicy.Replace;
  context.reply.error('ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.');
  return null;
}

function restore(context: CommandContext): void {
  const { reply, argCount, scripts } = context;
  if (argCount > 4) {
    refuseSyntax(context);
    return;
  }
  const policy = readPolicy(context);
  if (policy === null) return;
  if (versionOfPayload(context, 2) < 0) {
    reply.error('ERR DUMP payload version or checksum are wrong');
    return;
  }
  const sources = readSources(context);
  const error = typeof sources === 'string' ? sources : scripts.functions.restore(sources, policy);
  if (error !== '') {
    reply.error(error);
    return;
  }
  changed(context);
  reply.ok();
}

/** The sources of the libraries in the payload; the text of an error if the payload has anything else. */
function readSources(context: CommandContext): Uint8Array[] | string {
  const sources: Uint8Array[] = [];
  const lengthBytes = context.argLength(2) - FOOTER_BYTES;
  const input = RdbInput.fromBytes(context.bytes, context.argOffset(2), lengthBytes);
  const end = context.argOffset(2) + lengthBytes;
  try {
    while (input.position < end) {
      const opcode = input.byte();
      if (opcode === RdbOpcode.FunctionPreRelease) return 'ERR Pre-GA function format not supported';
      if (opcode !== RdbOpcode.Function2) return 'ERR given type is not a function';
      sources.push(readFunctionSource(input));
    }
  } catch (error) {
    if (!(error instanceof RdbError)) throw error;
    return 'ERR Failed loading library data';
  }
  return sources;
}

function stats({ reply, services, keyspace }: CommandContext): void {
  const running = services.state.runningScripts.first();
  reply.map(2);
  reply.bulkString('running_script');
  if (running === null) {
    reply.nullBulk();
  } else {
    reply.map(3);
    reply.bulkString('name');
    reply.bulkString(running.name);
    reply.bulkString('command');
    reply.array(running.argumentCount);
    reply.raw(running.command, 0, running.command.length);
    reply.bulkString('duration_ms');
    reply.integer(Math.max(0, Math.floor(Date.now() - running.startMs)));
  }
  reply.bulkString('engines');
  reply.map(1);
  reply.bulkString('LUA');
  reply.map(2);
  reply.bulkString('libraries_count');
  reply.integer(keyspace.functions.libraryCount);
  reply.bulkString('functions_count');
  reply.integer(keyspace.functions.functionCount);
}

const help = helpHandler('FUNCTION', [
  'LOAD [REPLACE] <FUNCTION CODE>',
  '    Create a new library with the given library name and code.',
  'DELETE <LIBRARY NAME>',
  '    Delete the given library.',
  'LIST [LIBRARYNAME PATTERN] [WITHCODE]',
  '    Return general information on all the libraries:',
  '    * Library name',
  '    * The engine used to run the Library',
  '    * Library description',
  '    * Functions list',
  '    * Library code (if WITHCODE is given)',
  '    It also possible to get only function that matches a pattern using LIBRARYNAME argument.',
  'STATS',
  '    Return information about the current function running:',
  '    * Function name',
  '    * Command used to run the function',
  '    * Duration in MS that the function is running',
  '    If no function is running, return nil',
  '    In addition, returns a list of available engines.',
  'KILL',
  '    Kill the current running function.',
  'FLUSH [ASYNC|SYNC]',
  '    Delete all the libraries.',
  '    When called without the optional mode argument, the behavior is determined by the',
  '    lazyfree-lazy-user-flush configuration directive. Valid modes are:',
  '    * ASYNC: Asynchronously flush the libraries.',
  '    * SYNC: Synchronously flush the libraries.',
  'DUMP',
  '    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command',
  'RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]',
  '    Restore the libraries represented by the given payload, it is possible to give a restore policy to',
  '    control how to handle existing libraries (default APPEND):',
  '    * FLUSH: delete all existing libraries.',
  '    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.',
  '    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old',
  '      libraries with the new libraries (notice that even on this option there is a chance of failure',
  '      in case of functions name collision with another library).',
]);

export const functionHandlers: Readonly<Record<string, Handler>> = {
  'FUNCTION DELETE': remove,
  'FUNCTION DUMP': dump,
  'FUNCTION FLUSH': flush,
  'FUNCTION HELP': help,
  'FUNCTION KILL': (context) => killScripts(context, ScriptKind.Function),
  'FUNCTION LIST': list,
  'FUNCTION LOAD': load,
  'FUNCTION RESTORE': restore,
  'FUNCTION STATS': stats,
};
