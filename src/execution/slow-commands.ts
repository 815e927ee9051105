/** What happens to a command that took long: the slow log, with secrets blacked out, and the latency monitor. */

import type { CommandContext } from './context.js';
import { type Command, CommandFlag } from './table/command-table.js';

const REDACTED = new TextEncoder().encode('(redacted)');
/** Directives whose values are secret. */
const SECRET_DIRECTIVES = new Set(['requirepass', 'masterauth', 'masteruser', 'tls-key-file-pass']);

/** Notes the command whose request the context holds where its duration says so. */
export function noteDuration(context: CommandContext, command: Command, milliseconds: number): void {
  const { config, state } = context.services;
  const microseconds = Math.floor(milliseconds * 1000);
  const slowerThan = config.slowLogSlowerThanMicroseconds;
  if (slowerThan >= 0 && microseconds >= slowerThan && config.slowLogMaxLength > 0) {
    if ((command.flags & CommandFlag.SkipSlowlog) === 0) addToSlowLog(context, command, microseconds);
  }
  const threshold = config.latencyMonitorThresholdMs;
  if (threshold > 0 && Math.floor(milliseconds) >= threshold) {
    const event = (command.flags & CommandFlag.Fast) !== 0 ? 'fast-command' : 'command';
    state.latency.add(event, Math.floor(milliseconds), context.nowMs);
  }
}

function addToSlowLog(context: CommandContext, command: Command, microseconds: number): void {
  const { services, session } = context;
  const secrets = secretArguments(context, command);
  let request = {
    bytes: context.bytes,
    pairs: context.pairs,
    start: context.argStart,
    count: context.argCount,
  };
  if (secrets.length > 0) {
    const parts = Array.from({ length: context.argCount }, (_, index) =>
      secrets.includes(index) ? REDACTED : context.argCopy(index),
    );
    const pairs = new Int32Array(2 * parts.length);
    let at = 0;
    for (let index = 0; index < parts.length; index++) {
      pairs[2 * index] = at;
      pairs[2 * index + 1] = parts[index].length;
      at += parts[index].length;
    }
    request = { bytes: Buffer.concat(parts), pairs, start: 0, count: parts.length };
  }
  services.state.slowLog.add(
    request,
    Date.now(),
    microseconds,
    session.connection.peerAddress(),
    session.name,
    services.config.slowLogMaxLength,
  );
}

/** Which arguments nobody may read in the slow log. */
export function secretArguments(context: CommandContext, command: Command): number[] {
  const secrets: number[] = [];
  const { argCount } = context;
  if (command.fullName === 'auth') {
    for (let index = 1; index < argCount; index++) secrets.push(index);
  } else if (command.fullName === 'hello') {
    for (let index = 2; index + 2 < argCount; index++) {
      if (context.argIs(index, 'AUTH')) secrets.push(index + 1, index + 2);
    }
  } else if (command.fullName === 'migrate') {
    for (let index = 6; index < argCount && !context.argIs(index, 'KEYS'); index++) {
      if (context.argIs(index, 'AUTH')) secrets.push(++index);
      else if (context.argIs(index, 'AUTH2')) secrets.push(++index, ++index);
    }
  } else if (command.fullName === 'config|set') {
    for (let index = 2; index + 1 < argCount; index += 2) {
      if (SECRET_DIRECTIVES.has(context.argLatin1(index).toLowerCase())) secrets.push(index + 1);
    }
  }
  return secrets;
}
