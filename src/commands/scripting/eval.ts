/** EVAL, EVALSHA, FCALL and their read-only forms. */

import type { CommandContext } from '../../execution/context.js';
import { OUT_OF_MEMORY } from '../../execution/errors.js';
import type { KnownScript } from '../../execution/scripts/known-scripts.js';
import { SHA_DIGITS } from '../../execution/scripts/known-scripts.js';
import { FIRST_SCRIPT_KEY, type Handler } from '../../execution/table/command-table.js';
import { whyWritesAreStopped } from '../../execution/write-stops.js';
import { ScriptFlag } from '../../scripting/flags.js';

const NO_SCRIPT = 'NOSCRIPT No matching script. Please use EVAL.';

/** The number of keys that an argument gives; -1 after an error reply. */
function readKeyCount(context: CommandContext, notANumber: string): number {
  const { reply, number } = context;
  if (!context.integer(2, notANumber)) return -1;
  if (number.value > context.argCount - FIRST_SCRIPT_KEY) {
    reply.error("ERR Number of keys can't be greater than number of args");
    return -1;
  }
  if (number.value < 0) reply.error("ERR Number of keys can't be negative");
  return number.value < 0 ? -1 : number.value;
}

/** Whether a script that declares flags may run; replies with an error if not. */
function isAllowed(context: CommandContext, flags: number, isReadOnly: boolean): boolean {
  if ((flags & ScriptFlag.Compatible) !== 0 || context.keyspace.settings.isReplaying) return true;
  const { reply, services, keyspace } = context;
  const mayWrite = (flags & ScriptFlag.NoWrites) === 0;
  if (mayWrite) {
    const reason = whyWritesAreStopped(services);
    if (reason !== '') {
      reply.error(reason);
      return false;
    }
    if (isReadOnly) {
      reply.error('ERR Can not execute a script with write flag using *_ro command.');
      return false;
    }
  }
  const needsMemory = mayWrite && (flags & ScriptFlag.AllowOom) === 0;
  if (needsMemory && keyspace.isOverLimit(services.state.clients.memoryBytes())) {
    reply.error(OUT_OF_MEMORY);
    return false;
  }
  return true;
}

function runScript(
  context: CommandContext,
  script: KnownScript,
  isReadOnly: boolean,
  keyCount: number,
): void {
  const { scripts, services } = context;
  const { flags } = script.script;
  services.state.scriptCache.noteUse(script.place);
  if (!isAllowed(context, flags, isReadOnly)) return;
  scripts.run({ script, called: null, flags, needs: script.needs, isReadOnly, keyCount });
}

function evaluate(context: CommandContext, isReadOnly: boolean): void {
  const { reply, scripts, bytes, view } = context;
  const keyCount = readKeyCount(context, 'ERR value is not an integer or out of range');
  if (keyCount < 0) return;
  const offset = context.argOffset(1);
  const script = scripts.scripts.bySourceText(bytes, view, offset, context.argLength(1), true);
  if (typeof script === 'string') reply.error(script);
  else runScript(context, script, isReadOnly, keyCount);
}

function evaluateSha(context: CommandContext, isReadOnly: boolean): void {
  const { reply, scripts, bytes, view } = context;
  if (context.argLength(1) !== SHA_DIGITS) {
    reply.error(NO_SCRIPT);
    return;
  }
  const keyCount = readKeyCount(context, 'ERR value is not an integer or out of range');
  if (keyCount < 0) return;
  const script = scripts.scripts.bySha(bytes, view, context.argOffset(1));
  if (script === null) reply.error(NO_SCRIPT);
  else if (typeof script === 'string') reply.error(script);
  else runScript(context, script, isReadOnly, keyCount);
}

function callFunction(context: CommandContext, isReadOnly: boolean): void {
  const { reply, scripts } = context;
  const called = scripts.functions.find(context.argLatin1(1));
  if (called === null) {
    reply.error('ERR Function not found');
    return;
  }
  const keyCount = readKeyCount(context, 'ERR Bad number of keys provided');
  if (keyCount < 0) return;
  const { flags } = called.registered;
  if (!isAllowed(context, flags, isReadOnly)) return;
  scripts.run({ script: null, called, flags, needs: called.needs, isReadOnly, keyCount });
}

export const evalHandlers: Readonly<Record<string, Handler>> = {
  EVAL: (context) => evaluate(context, false),
  EVAL_RO: (context) => evaluate(context, true),
  EVALSHA: (context) => evaluateSha(context, false),
  EVALSHA_RO: (context) => evaluateSha(context, true),
  FCALL: (context) => callFunction(context, false),
  FCALL_RO: (context) => callFunction(context, true),
};
