/**
 * What happens to a command that took long, or whose request or reply was large: the logs of such commands, with
 * secrets blacked out, and the latency monitor.
 */

import type { Config } from '../config/config.js';
import { integerLength } from '../memory/numbers.js';
import type { CommandLog } from '../state/command-log.js';
import type { CommandContext } from './context.js';
import { CommandRequest } from './request.js';
import type { Session } from './session.js';
import { type Command, CommandFlag, SecretRule } from './table/command-table.js';

/** What the protocol puts around an argument at most: "$", its length, and two line ends. */
const ARGUMENT_FRAME_BYTES_MAX = 16;

const REDACTED = new TextEncoder().encode('(redacted)');
/** Directives whose values are secret. */
const SECRET_DIRECTIVES = new Set(['requirepass', 'masterauth', 'masteruser', 'tls-key-file-pass']);

/**
 * Notes the command whose request the context holds in the slow log and the latency monitor if it took long enough.
 * `session`: the client that has sent it, or the script that calls it.
 */
export function noteDuration(
  context: CommandContext,
  command: Command,
  milliseconds: number,
  session = context.session,
): void {
  const { config, state } = context.services;
  if (isSlow(config, milliseconds)) {
    const microseconds = Math.floor(milliseconds * 1000);
    if ((command.flags & CommandFlag.SkipSlowlog) === 0)
      addTo(state.slowLog, context, session, command, microseconds, config.slowLogMaxLength);
  }
  if (isLatencyEvent(config, milliseconds)) {
    const event = (command.flags & CommandFlag.Fast) !== 0 ? 'fast-command' : 'command';
    state.latency.add(event, Math.floor(milliseconds), context.nowMs);
  }
}

/** Whether `noteDuration` may note a command that has taken so long. */
export function isNoted(config: Config, milliseconds: number): boolean {
  return isSlow(config, milliseconds) || isLatencyEvent(config, milliseconds);
}

function isSlow(config: Config, milliseconds: number): boolean {
  const { slowLogSlowerThanMicroseconds: slowerThan, slowLogMaxLength } = config;
  return slowerThan >= 0 && Math.floor(milliseconds * 1000) >= slowerThan && slowLogMaxLength > 0;
}

function isLatencyEvent({ latencyMonitorThresholdMs: threshold }: Config, milliseconds: number): boolean {
  return threshold > 0 && Math.floor(milliseconds) >= threshold;
}

/** Notes the command whose request the context holds in the logs of large requests and replies if it is large. */
export function noteSizes(context: CommandContext, command: Command, replyBytes: number): void {
  if ((command.flags & CommandFlag.SkipSlowlog) !== 0) return;
  const { session } = context;
  const { config, state } = context.services;
  const { largeReplyBytes, largeRequestBytes } = config;
  if (largeReplyBytes >= 0 && replyBytes >= largeReplyBytes) {
    addTo(state.largeReplyLog, context, session, command, replyBytes, config.largeReplyLogMaxLength);
  }
  if (largeRequestBytes < 0 || requestBytesMax(context.request) < largeRequestBytes) return;
  const requestBytes = requestSize(context);
  if (requestBytes >= largeRequestBytes) {
    addTo(state.largeRequestLog, context, session, command, requestBytes, config.largeRequestLogMaxLength);
  }
}

/** An upper bound of `requestSize`, computed without a loop: arguments lie one behind the other. */
export function requestBytesMax({ pairs, start, count }: CommandRequest): number {
  const last = 2 * (start + count - 1);
  return pairs[last] + pairs[last + 1] - pairs[2 * start] + ARGUMENT_FRAME_BYTES_MAX * (count + 1);
}

/** Bytes of the context's request as the protocol frames it. */
export function requestSize(context: CommandContext): number {
  const { argCount } = context;
  let lengthBytes = 3 + integerLength(argCount);
  for (let index = 0; index < argCount; index++) {
    const argumentBytes = context.argLength(index);
    lengthBytes += 5 + integerLength(argumentBytes) + argumentBytes;
  }
  return lengthBytes;
}

function addTo(
  log: CommandLog,
  context: CommandContext,
  session: Session,
  command: Command,
  value: number,
  entriesMax: number,
): void {
  const secrets = secretArguments(context, command);
  let { request } = context;
  if (secrets.length > 0) {
    const parts = Array.from({ length: context.argCount }, (_, index) =>
      secrets.includes(index) ? REDACTED : context.argCopy(index),
    );
    request = CommandRequest.of(parts);
  }
  log.add(request, Date.now(), value, session.connection.peerAddress(), session.name, entriesMax);
}

/** The arguments that must not be shown in the logs or by MONITOR. */
export function secretArguments(context: CommandContext, command: Command): number[] {
  const secrets: number[] = [];
  const { argCount } = context;
  switch (command.secretRule) {
    case SecretRule.Auth:
      for (let index = 1; index < argCount; index++) secrets.push(index);
      break;
    case SecretRule.User:
      for (let index = 2; index < argCount; index++) secrets.push(index);
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
