/** What happens to a command that took long: the slow log, with secrets blacked out, and the latency monitor. */

import type { CommandContext } from './context.js';
import { CommandRequest } from './request.js';
import { type Command, CommandFlag, SecretRule } from './table/command-table.js';

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
  let { request } = context;
  if (secrets.length > 0) {
    const parts = Array.from({ length: context.argCount }, (_, index) =>
      secrets.includes(index) ? REDACTED : context.argCopy(index),
    );
    request = CommandRequest.of(parts);
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
  switch (command.secretRule) {
    case SecretRule.Auth:
      for (let index = 1; index < argCount; index++) secrets.push(index);
      break;
    case SecretRule.Hello:
      for (let index = 2; index + 2 < argCount; index++) {
        if (context.argIs(index, 'AUTH')) secrets.push(index + 1, index + 2);
      }
      break;
    case SecretRule.Migrate:
      for (let index = 6; index < argCount && !context.argIs(index, 'KEYS'); index++) {
        if (context.argIs(index, 'AUTH')) secrets.push(++index);
        else if (context.argIs(index, 'AUTH2')) secrets.push(++index, ++index);
      }
      break;
    case SecretRule.Config:
      for (let index = 2; index + 1 < argCount; index += 2) {
        if (SECRET_DIRECTIVES.has(context.argLatin1(index).toLowerCase())) secrets.push(index + 1);
      }
      break;
  }
  return secrets;
}
