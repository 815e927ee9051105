/** EXPIRE, TTL and their relatives. */

import type { CommandContext } from '../../execution/context.js';
import { recordDelete, recordExpiry } from '../../execution/effects.js';
import type { Handler } from '../../execution/table/command-table.js';
import { KeyEvent } from '../../keyspace/events.js';
import { readExpiry, TIME_UNITS, type TimeUnit } from './expiry-options.js';

const enum Condition {
  None = 0,
  IfNone = 1,
  IfSome = 2,
  IfLater = 4,
  IfEarlier = 8,
}

/** Reads NX, XX, GT and LT from argument 3 on; -1 if they are wrong (the error is replied). */
function readConditions(context: CommandContext): number {
  let conditions = Condition.None;
  for (let index = 3; index < context.argCount; index++) {
    if (context.argIs(index, 'NX')) conditions |= Condition.IfNone;
    else if (context.argIs(index, 'XX')) conditions |= Condition.IfSome;
    else if (context.argIs(index, 'GT')) conditions |= Condition.IfLater;
    else if (context.argIs(index, 'LT')) conditions |= Condition.IfEarlier;
    else {
      context.reply.error(`ERR Unsupported option ${context.argQuoted(index)}`);
      return -1;
    }
  }
  if ((conditions & Condition.IfNone) !== 0 && conditions !== Condition.IfNone) {
    context.reply.error('ERR NX and XX, GT or LT options at the same time are not compatible');
    return -1;
  }
  if ((conditions & Condition.IfLater) !== 0 && (conditions & Condition.IfEarlier) !== 0) {
    context.reply.error('ERR GT and LT options at the same time are not compatible');
    return -1;
  }
  return conditions;
}

function expire(context: CommandContext, unit: TimeUnit): void {
  const { reply } = context;
  const conditions = readConditions(context);
  if (conditions < 0) return;
  const expiresAt = readExpiry(context, 2, unit, true);
  if (expiresAt < 0) return;
  if (context.findWrite(1) === 0) {
    reply.integer(0);
    return;
  }
  const current = context.expiresAtMs;
  const isRefused =
    ((conditions & Condition.IfNone) !== 0 && current >= 0) ||
    ((conditions & Condition.IfSome) !== 0 && current < 0) ||
    ((conditions & Condition.IfLater) !== 0 && (current < 0 || expiresAt <= current)) ||
    ((conditions & Condition.IfEarlier) !== 0 && current >= 0 && expiresAt >= current);
  if (isRefused) {
    reply.integer(0);
    return;
  }
  if (context.isPast(expiresAt)) {
    context.remove();
    context.changed(KeyEvent.Delete);
    recordDelete(context);
  } else {
    if (!context.setExpiry(expiresAt)) return;
    context.changed(KeyEvent.Expire);
    recordExpiry(context);
  }
  reply.integer(1);
}

function timeToLive(context: CommandContext, inSeconds: boolean, isAbsolute: boolean): void {
  const { reply } = context;
  if (context.query(1) === 0) {
    reply.integer(-2);
    return;
  }
  const expiresAt = context.expiresAtMs;
  if (expiresAt < 0) {
    reply.integer(-1);
    return;
  }
  const ms = isAbsolute ? expiresAt : Math.max(0, expiresAt - context.nowMs);
  reply.integer(inSeconds ? Math.floor((ms + 500) / 1000) : ms);
}

function persist(context: CommandContext): void {
  if (context.findWrite(1) === 0 || context.expiresAtMs < 0) {
    context.reply.integer(0);
    return;
  }
  if (!context.setExpiry(-1)) return;
  context.changed(KeyEvent.Persist);
  context.reply.integer(1);
}

export const expiryHandlers: Readonly<Record<string, Handler>> = {
  EXPIRE: (context) => expire(context, TIME_UNITS.EX),
  PEXPIRE: (context) => expire(context, TIME_UNITS.PX),
  EXPIREAT: (context) => expire(context, TIME_UNITS.EXAT),
  PEXPIREAT: (context) => expire(context, TIME_UNITS.PXAT),
  TTL: (context) => timeToLive(context, true, false),
  PTTL: (context) => timeToLive(context, false, false),
  EXPIRETIME: (context) => timeToLive(context, true, true),
  PEXPIRETIME: (context) => timeToLive(context, false, true),
  PERSIST: persist,
};
