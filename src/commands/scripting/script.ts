/** SCRIPT: the cache of scripts that EVALSHA runs, and the end of a slow one. */

import type { CommandContext } from '../../execution/context.js';
import { busyError } from '../../execution/errors.js';
import { shaWords } from '../../execution/scripts/known-scripts.js';
import type { PostponedWork } from '../../execution/session.js';
import type { Handler } from '../../execution/table/command-table.js';
import { KillResult, type RunningScripts, ScriptKind } from '../../state/running-scripts.js';
import { helpHandler } from '../connection/help.js';

const NOT_BUSY = 'NOTBUSY No scripts in execution right now.';
const UNKILLABLE =
  'UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.';

function load(context: CommandContext): void {
  const { reply, scripts, bytes, view } = context;
  const script = scripts.scripts.bySourceText(bytes, view, context.argOffset(2), context.argLength(2), false);
  if (typeof script === 'string') reply.error(script);
  else reply.bulkString(script.script.sha);
}

function exists(context: CommandContext): void {
  const { reply, services, argCount } = context;
  reply.array(argCount - 2);
  for (let index = 2; index < argCount; index++) {
    const sha = shaWords(context.argLatin1(index).toLowerCase());
    reply.integer(sha !== null && services.state.scriptCache.find(sha) !== -2 ? 1 : 0);
  }
}

function flush(context: CommandContext): void {
  const { reply, argCount } = context;
  if (argCount > 3 || (argCount === 3 && !context.argIs(2, 'SYNC') && !context.argIs(2, 'ASYNC'))) {
    reply.error('ERR SCRIPT FLUSH only support SYNC|ASYNC option');
    return;
  }
  context.services.state.scriptCache.flush();
  reply.ok();
}

function show(context: CommandContext): void {
  const sha = shaWords(context.argLatin1(2).toLowerCase());
  const source = sha === null ? null : context.services.state.scriptCache.source(sha);
  if (source === null) context.reply.error('NOSCRIPT No matching script.');
  else context.reply.bulkBuffer(source);
}

/** There is no debugger: this does not change how scripts run. */
function debug(context: CommandContext): void {
  const isKnown = ['YES', 'NO', 'SYNC'].some((word) => context.argIs(2, word));
  if (isKnown) context.reply.ok();
  else context.reply.error('ERR Use SCRIPT DEBUG YES/SYNC/NO');
}

/** SCRIPT KILL while scripts run but none is slow yet: waits until one is slow, or all of these have ended. */
class ScriptWatch implements PostponedWork {
  private readonly scripts: RunningScripts;
  private readonly turns: readonly number[];

  constructor(scripts: RunningScripts) {
    this.scripts = scripts;
    this.turns = scripts.turns();
  }

  get isReady(): boolean {
    if (this.scripts.first() !== null) return true;
    const turns = this.scripts.turns();
    return this.turns.every((turn, worker) => turn === 0 || turns[worker] !== turn);
  }

  abandon(): void {}
}

/** Ends slow scripts of a kind, whichever worker runs them. */
export function killScripts(context: CommandContext, kind: ScriptKind): void {
  const { reply, services, session } = context;
  const { runningScripts } = services.state;
  const hasWaited = session.postponedWork instanceof ScriptWatch;
  if (hasWaited) session.postponedWork = null;
  switch (runningScripts.kill(kind)) {
    case KillResult.Killed:
      reply.ok();
      break;
    case KillResult.NoScript: {
      const watch = new ScriptWatch(runningScripts);
      if (hasWaited || !context.mayBlock || watch.isReady) {
        reply.error(NOT_BUSY);
        break;
      }
      session.postponedWork = watch;
      session.postponed = { command: context.command, request: context.request.copy() };
      break;
    }
    case KillResult.OtherKind:
      reply.error(busyError(runningScripts));
      break;
    default:
      reply.error(UNKILLABLE);
  }
}

const help = helpHandler('SCRIPT', [
  'DEBUG (YES|SYNC|NO)',
  '    Set the debug mode for subsequent scripts executed.',
  'EXISTS <sha1> [<sha1> ...]',
  '    Return information about the existence of the scripts in the script cache.',
  'FLUSH [ASYNC|SYNC]',
  '    Flush the Lua scripts cache. Very dangerous on replicas.',
  '    When called without the optional mode argument, the behavior is determined by the',
  '    lazyfree-lazy-user-flush configuration directive. Valid modes are:',
  '    * ASYNC: Asynchronously flush the scripts cache.',
  '    * SYNC: Synchronously flush the scripts cache.',
  'KILL',
  '    Kill the currently executing Lua script.',
  'LOAD <script>',
  '    Load a script into the scripts cache without executing it.',
  'SHOW <sha1>',
  '    Display a script in the scripts cache.',
]);

export const scriptHandlers: Readonly<Record<string, Handler>> = {
  'SCRIPT DEBUG': debug,
  'SCRIPT EXISTS': exists,
  'SCRIPT FLUSH': flush,
  'SCRIPT HELP': help,
  'SCRIPT KILL': (context) => killScripts(context, ScriptKind.Eval),
  'SCRIPT LOAD': load,
  'SCRIPT SHOW': show,
};
