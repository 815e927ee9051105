/**
 * The commands of HyperLogLogs, which are strings (structures/hyperloglog.ts).
 *
 * A dense one is changed in place. A sparse one is searched in place; only a change makes a copy
 * (structures/hyperloglog-draft.ts), which then replaces it.
 */

import type { CommandContext } from '../../execution/context.js';
import { recordString } from '../../execution/effects.js';
import { WRONG_TYPE } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import {
  countDense,
  createHistogram,
  DENSE_BYTES,
  denseRegister,
  estimate,
  Form,
  formOf,
  HEADER_BYTES,
  indexOf,
  keepEstimate,
  keptEstimate,
  keptEstimateExactly,
  outdateEstimate,
  placeOf,
  REGISTERS,
  RegisterMaxima,
  raiseDense,
  rankOf,
} from '../../structures/hyperloglog.js';
import { HyperLogLogDraft } from '../../structures/hyperloglog-draft.js';
import { findFailure } from '../../structures/hyperloglog-self-test.js';
import {
  countSparse,
  describeRuns,
  mergeSparse,
  Plan,
  SPARSE_RANK_MAX,
  SparseRegisters,
} from '../../structures/sparse-registers.js';

const NOT_A_HYPERLOGLOG = 'WRONGTYPE Key is not a valid HyperLogLog string value.';
const DAMAGED = 'INVALIDOBJ Corrupted HLL object detected';

/** Estimates from this on are not exact in a double. */
const EXACT_ESTIMATE_MAX = Number.MAX_SAFE_INTEGER;
/** What Redis replies for an infinite estimate. */
const UNBOUNDED_ESTIMATE = -(2n ** 63n);

const maxima = new RegisterMaxima();
const histogram = createHistogram();
const draft = new HyperLogLogDraft(maxima);
const sparse = new SparseRegisters();

/** The form of the selected key's value. Replies with an error and returns `None` if it is no HyperLogLog. */
function selectedForm(context: CommandContext): Form {
  const { shard } = context;
  if (context.entryType !== ValueType.String) {
    context.reply.error(WRONG_TYPE);
    return Form.None;
  }
  const form = formOf(shard.bytes, shard.view, context.valueOffset, context.valueLength);
  if (form === Form.None) context.reply.error(NOT_A_HYPERLOGLOG);
  return form;
}

/** Makes the draft the value of the selected key, which may not exist. Replies OOM and returns false without memory. */
function putDraft(context: CommandContext, isOutdated = true): boolean {
  const { lengthBytes } = draft;
  const staysInPlace = context.entry !== 0 && lengthBytes !== DENSE_BYTES;
  const isPut = staysInPlace
    ? context.resizeString(lengthBytes)
    : context.putValue(ValueType.String, lengthBytes, context.expiresAtMs);
  if (!isPut) return false;
  const { bytes, view } = context.shard;
  draft.copyTo(bytes, view, context.valueOffset);
  if (isOutdated) outdateEstimate(bytes, context.valueOffset);
  context.markRaw();
  return true;
}

function addToDense(context: CommandContext): void {
  const { bytes, view, argCount, shard } = context;
  const start = context.valueOffset;
  let raised = 0;
  for (let index = 2; index < argCount; index++) {
    const place = placeOf(bytes, view, context.argOffset(index), context.argLength(index));
    if (raiseDense(shard.bytes, start, indexOf(place), rankOf(place))) raised++;
  }
  context.markRaw();
  if (raised > 0) {
    outdateEstimate(shard.bytes, start);
    context.changed(KeyEvent.HyperLogLogAdd, raised);
  }
  context.reply.integer(raised > 0 ? 1 : 0);
}

/** The first element that changes the selected sparse HyperLogLog, `argCount` if none does, -1 if it is damaged. */
function firstChange(context: CommandContext): number {
  const { bytes, view, argCount, shard } = context;
  const start = context.valueOffset + HEADER_BYTES;
  const end = context.valueOffset + context.valueLength;
  let index = 2;
  for (; index < argCount; index++) {
    const place = placeOf(bytes, view, context.argOffset(index), context.argLength(index));
    if (rankOf(place) > SPARSE_RANK_MAX) break;
    const plan = sparse.plan(shard.bytes, start, end, indexOf(place), rankOf(place));
    if (plan === Plan.Damaged) return -1;
    if (plan === Plan.Changes) break;
  }
  return index;
}

/** PFADD to a sparse HyperLogLog, or to a key that does not exist. */
function addToSparse(context: CommandContext): void {
  const { bytes, view, argCount, shard, reply } = context;
  let index = 2;
  let isDamaged = false;
  const isNew = context.entry === 0;
  if (isNew) {
    draft.beginEmpty();
  } else {
    index = firstChange(context);
    if (index === argCount) {
      context.markRaw();
      reply.integer(0);
      return;
    }
    const start = context.valueOffset;
    isDamaged = index < 0 || !draft.beginWith(shard.bytes, shard.view, start, context.valueLength);
  }
  const { hllSparseMaxBytes } = context.services.config;
  for (; index < argCount && !isDamaged; index++) {
    const place = placeOf(bytes, view, context.argOffset(index), context.argLength(index));
    isDamaged = !draft.raise(indexOf(place), rankOf(place), hllSparseMaxBytes);
  }
  if (isDamaged) {
    reply.error(DAMAGED);
    return;
  }
  if (!putDraft(context)) return;
  context.changed(KeyEvent.HyperLogLogAdd, draft.raisedCount + (isNew ? 1 : 0));
  reply.integer(1);
}

function pfadd(context: CommandContext): void {
  if (context.findWrite(1) === 0) {
    addToSparse(context);
    return;
  }
  const form = selectedForm(context);
  if (form === Form.Dense) addToDense(context);
  else if (form === Form.Sparse) addToSparse(context);
}

/** Takes the selected HyperLogLog into the maxima; replies with an error and returns false if it is damaged. */
function mergeSelected(context: CommandContext, form: Form): boolean {
  const { shard } = context;
  const start = context.valueOffset;
  if (form === Form.Dense) {
    maxima.mergeDense(shard.view, start);
    return true;
  }
  if (mergeSparse(maxima, shard.bytes, start + HEADER_BYTES, start + context.valueLength)) return true;
  context.reply.error(DAMAGED);
  return false;
}

/**
 * Fills the maxima from the keys from argument `first` on. Returns `Dense` if one of them is dense, else `Sparse`;
 * `None` after replying with an error.
 */
function mergeKeys(context: CommandContext, first: number): Form {
  let merged = Form.Sparse;
  maxima.clear();
  for (let index = first; index < context.argCount; index++) {
    if (context.findRead(index) === 0) continue;
    const form = selectedForm(context);
    if (form === Form.None || !mergeSelected(context, form)) return Form.None;
    if (form === Form.Dense) merged = Form.Dense;
  }
  return merged;
}

function replyEstimate(context: CommandContext, value: number): void {
  if (value === Infinity) context.reply.integerBig(UNBOUNDED_ESTIMATE);
  else context.reply.integer(value);
}

/** The estimate of the selected HyperLogLog, -1 if it is damaged. */
function estimateSelected(context: CommandContext, form: Form): number {
  const { shard } = context;
  const start = context.valueOffset;
  if (form === Form.Dense) {
    countDense(histogram, shard.view, start);
    return estimate(histogram);
  }
  const counted = countSparse(shard.bytes, start + HEADER_BYTES, start + context.valueLength);
  return counted === null ? -1 : estimate(counted);
}

function countOne(context: CommandContext): void {
  const { reply } = context;
  if (context.findRead(1) === 0) {
    reply.integer(0);
    return;
  }
  const form = selectedForm(context);
  if (form === Form.None) return;
  context.markRaw();
  const { shard } = context;
  const kept = keptEstimate(shard.view, context.valueOffset);
  if (kept > EXACT_ESTIMATE_MAX) {
    reply.integerBig(keptEstimateExactly(shard.view, context.valueOffset));
    return;
  }
  if (kept >= 0) {
    reply.integer(kept);
    return;
  }
  const value = estimateSelected(context, form);
  if (value < 0) {
    reply.error(DAMAGED);
    return;
  }
  // As in Redis, the command counts as a read, and what it writes as a change.
  shard.preserve(context.keyDatabase, context.entry);
  keepEstimate(shard.view, context.valueOffset, value);
  context.changed(KeyEvent.Unnamed);
  replyEstimate(context, value);
}

function pfcount(context: CommandContext): void {
  if (context.argCount === 2) {
    countOne(context);
  } else if (mergeKeys(context, 1) !== Form.None) {
    maxima.count(histogram);
    replyEstimate(context, estimate(histogram));
  }
}

function pfmerge(context: CommandContext): void {
  const merged = mergeKeys(context, 1);
  if (merged === Form.None) return;
  const exists = context.findWrite(1) !== 0;
  const { bytes, view } = context.shard;
  const start = exists ? context.valueOffset : 0;
  if (exists && selectedForm(context) === Form.Dense) {
    maxima.writeDense(view, start);
    outdateEstimate(bytes, start);
    context.markRaw();
  } else {
    if (exists) draft.beginWith(bytes, view, start, context.valueLength);
    else draft.beginEmpty();
    if (merged === Form.Dense) draft.takeMaximaDense();
    else draft.takeMaxima(context.services.config.hllSparseMaxBytes);
    if (!putDraft(context)) return;
  }
  context.changed(KeyEvent.HyperLogLogAdd);
  context.reply.ok();
}

/** Converts the selected HyperLogLog from sparse to dense, keeping its estimate. Replies with the error if it can't. */
function makeDense(context: CommandContext): boolean {
  const { shard } = context;
  maxima.clear();
  if (!mergeSelected(context, Form.Sparse)) return false;
  draft.beginWith(shard.bytes, shard.view, context.valueOffset, context.valueLength);
  draft.takeMaximaDense();
  const isOutdated = keptEstimate(shard.view, context.valueOffset) < 0;
  if (!putDraft(context, isOutdated)) return false;
  context.changed(KeyEvent.Unnamed);
  recordString(context);
  return true;
}

function replyRegisters(context: CommandContext): void {
  const { reply, shard } = context;
  reply.array(REGISTERS);
  for (let index = 0; index < REGISTERS; index++) {
    reply.integer(denseRegister(shard.bytes, context.valueOffset, index));
  }
}

function pfdebug(context: CommandContext): void {
  const { reply } = context;
  if (context.findWrite(2) === 0) {
    reply.error('ERR The specified key does not exist');
    return;
  }
  const form = selectedForm(context);
  if (form === Form.None) return;
  context.markRaw();
  if (context.argIs(1, 'GETREG')) {
    if (form === Form.Dense || makeDense(context)) replyRegisters(context);
  } else if (context.argIs(1, 'DECODE')) {
    const start = context.valueOffset;
    if (form === Form.Dense) reply.error('ERR HLL encoding is not sparse');
    else
      reply.bulkString(describeRuns(context.shard.bytes, start + HEADER_BYTES, start + context.valueLength));
  } else if (context.argIs(1, 'ENCODING')) {
    reply.simple(form === Form.Dense ? 'dense' : 'sparse');
  } else if (context.argIs(1, 'TODENSE')) {
    if (form === Form.Dense) reply.integer(0);
    else if (makeDense(context)) reply.integer(1);
  } else {
    reply.error(`ERR Unknown PFDEBUG subcommand '${context.argQuoted(1)}'`);
  }
}

function pfselftest(context: CommandContext): void {
  const failure = findFailure();
  if (failure === '') context.reply.ok();
  else context.reply.error(`TESTFAILED ${failure}`);
}

export const hyperLogLogHandlers: Readonly<Record<string, Handler>> = {
  PFADD: pfadd,
  PFCOUNT: pfcount,
  PFDEBUG: pfdebug,
  PFMERGE: pfmerge,
  PFSELFTEST: pfselftest,
};
