/** Commands on the places of a sorted set: adding them, and telling where they are and how far from each other. */

import type { CommandContext } from '../../execution/context.js';
import { recordKeyCommand } from '../../execution/effects.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import {
  exactDistance,
  haversine,
  roundDistance,
  roundedDistance,
  toRadians,
} from '../../structures/geo/distance.js';
import {
  cell,
  columnOf,
  geohashText,
  latitudeOf,
  longitudeOf,
  readScore,
  rowOf,
  STEPS_MAX,
  scoreOf,
} from '../../structures/geo/geohash.js';
import { AddFlag, addScored, scoresFor } from '../sorted-sets/sorted-sets.js';
import { place, readPlace, readUnit } from './arguments.js';
import { replyCoordinates, replyDistance } from './replies.js';

const OPTIONS: readonly (readonly [name: string, flag: AddFlag])[] = [
  ['NX', AddFlag.IfAbsent],
  ['XX', AddFlag.IfPresent],
  ['CH', AddFlag.CountsChanged],
];

function optionFlag(context: CommandContext, index: number): number {
  for (const [name, flag] of OPTIONS) if (context.argIs(index, name)) return flag;
  return 0;
}

/** Records GEOADD as the ZADD that it comes down to, as Redis does. */
function recordScored(context: CommandContext, flags: number, first: number, count: number): void {
  const options = OPTIONS.filter(([, flag]) => (flags & flag) !== 0);
  const journal = recordKeyCommand(context, 'ZADD', options.length + 2 * count);
  if (journal === null) return;
  for (const [name] of options) journal.word(name);
  const scores = scoresFor(count);
  for (let element = 0; element < count; element++) {
    const score = scores[element];
    if (Number.isSafeInteger(score)) journal.integer(score);
    else journal.word(BigInt(score).toString());
    const member = first + 3 * element + 2;
    journal.argument(context.bytes, context.view, context.argOffset(member), context.argLength(member));
  }
}

function geoadd(context: CommandContext): void {
  let flags = 0;
  let first = 2;
  for (; first < context.argCount; first++) {
    const flag = optionFlag(context, first);
    if (flag === 0) break;
    flags |= flag;
  }
  const left = context.argCount - first;
  const isContradictory = (flags & AddFlag.IfAbsent) !== 0 && (flags & AddFlag.IfPresent) !== 0;
  if (left === 0 || left % 3 !== 0 || isContradictory) {
    context.reply.error(SYNTAX_ERROR);
    return;
  }
  const count = left / 3;
  const scores = scoresFor(count);
  for (let element = 0; element < count; element++) {
    if (!readPlace(context, first + 3 * element)) return;
    scores[element] = scoreOf(columnOf(place.longitude, STEPS_MAX), rowOf(place.latitude, STEPS_MAX));
  }
  const applied = addScored(context, flags, first + 2, 3, count);
  if (applied > 0) recordScored(context, flags, first, applied);
}

/** Looks up the member that an argument names; its cell is in `cell`. */
function findMember(context: CommandContext, reference: number, argument: number): boolean {
  const { sortedSets } = context.shard;
  const { bytes, view } = context;
  const isThere = sortedSets.find(
    reference,
    bytes,
    view,
    context.argOffset(argument),
    context.argLength(argument),
  );
  if (isThere) readScore(sortedSets.score);
  return isThere;
}

function geopos(context: CommandContext): void {
  const { reply } = context;
  const reference = context.readCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  reply.array(context.argCount - 2);
  for (let index = 2; index < context.argCount; index++) {
    if (reference !== 0 && findMember(context, reference, index)) {
      replyCoordinates(reply, longitudeOf(cell.column), latitudeOf(cell.row));
    } else {
      reply.nullArray();
    }
  }
}

function geohash(context: CommandContext): void {
  const { reply } = context;
  const reference = context.readCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  reply.array(context.argCount - 2);
  for (let index = 2; index < context.argCount; index++) {
    if (reference !== 0 && findMember(context, reference, index)) {
      reply.bulkString(geohashText(longitudeOf(cell.column), latitudeOf(cell.row)));
    } else {
      reply.nullBulk();
    }
  }
}

function geodist(context: CommandContext): void {
  const { reply } = context;
  let unitMeters = 1;
  if (context.argCount === 5) {
    unitMeters = readUnit(context, 4);
    if (unitMeters === 0) return;
  } else if (context.argCount > 5) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const reference = context.readCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  if (reference === 0 || !findMember(context, reference, 2)) {
    reply.nullBulk();
    return;
  }
  const longitude = longitudeOf(cell.column);
  const latitude = latitudeOf(cell.row);
  if (!findMember(context, reference, 3)) {
    reply.nullBulk();
    return;
  }
  const otherLongitude = longitudeOf(cell.column);
  const otherLatitude = latitudeOf(cell.row);
  const radians = toRadians(latitude);
  const value = haversine(
    toRadians(longitude),
    radians,
    Math.cos(radians),
    toRadians(otherLongitude),
    toRadians(otherLatitude),
  );
  let rounded = roundedDistance(value, unitMeters);
  if (rounded < 0) {
    const meters = exactDistance(longitude, latitude, otherLongitude, otherLatitude);
    rounded = roundDistance(meters, unitMeters);
  }
  replyDistance(reply, rounded);
}

export const geoHandlers: Readonly<Record<string, Handler>> = {
  GEOADD: geoadd,
  GEODIST: geodist,
  GEOHASH: geohash,
  GEOPOS: geopos,
};
