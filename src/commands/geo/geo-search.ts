/** Commands that search places: GEOSEARCH, GEORADIUS and their kin, which differ in how they are asked. */

import type { CommandContext } from '../../execution/context.js';
import { OUT_OF_MEMORY } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { KeyEvent } from '../../keyspace/events.js';
import { cell, latitudeOf, longitudeOf, readScore, toUnsigned64 } from '../../structures/geo/geohash.js';
import { SearchArea } from '../../structures/geo/search-area.js';
import { SortedSetCursor, type SortedSetValue } from '../../structures/sorted-set-value.js';
import { deleteTarget, storeDraft } from '../sorted-sets/sorted-set-ranges.js';
import { replyMember } from '../sorted-sets/sorted-sets.js';
import { FoundPlaces } from './found-places.js';
import { replyCoordinates, replyDistance } from './replies.js';
import { Form, Order, SearchRequest } from './search-request.js';

const request = new SearchRequest();
const area = new SearchArea();
const found = new FoundPlaces();
const cursor = new SortedSetCursor();

/** Finds what the request asks for in the source's sorted set; returns how many of the places are wanted. */
function search(sets: SortedSetValue): number {
  const { shape, order, count, takesAny } = request;
  const measures = request.withDistance || order !== Order.None;
  area.cover(shape);
  found.find(sets, request.reference, cursor, shape, area, takesAny ? count : 0, measures);
  const wanted = count === 0 ? found.count : Math.min(count, found.count);
  if (order !== Order.None) found.sort(order === Order.Descending, wanted);
  return wanted;
}

/** Replies with one of the places found, on which the cursor is. */
function replyPlace(context: CommandContext, position: number): void {
  const { reply } = context;
  replyMember(context, cursor);
  if (request.withDistance) replyDistance(reply, found.roundedDistance(position, request.unitMeters));
  if (request.withHash) replyScore(context, cursor.score);
  if (!request.withCoordinates) return;
  readScore(cursor.score);
  replyCoordinates(reply, longitudeOf(cell.column), latitudeOf(cell.row));
}

function replyScore(context: CommandContext, score: number): void {
  if (Number.isSafeInteger(score)) context.reply.integer(score);
  else context.reply.integerBig(BigInt.asIntN(64, toUnsigned64(score)));
}

function replyFound(context: CommandContext, wanted: number): void {
  const { reply } = context;
  const { sortedSets } = context.shard;
  const { withDistance, withHash, withCoordinates } = request;
  const options = Number(withDistance) + Number(withHash) + Number(withCoordinates);
  found.bringNear(sortedSets, request.reference, wanted);
  reply.array(wanted);
  for (let position = 0; position < wanted; position++) {
    found.readElement(sortedSets, request.reference, cursor, position);
    if (options > 0) reply.array(1 + options);
    replyPlace(context, position);
  }
}

/** Builds what was found in the draft of the selected key's shard; false, with nothing kept, if there is no memory. */
function draftFound(context: CommandContext, source: SortedSetValue, wanted: number): boolean {
  const { sortedSets, draft } = context.shard;
  if (!sortedSets.createTree(draft, wanted)) return false;
  for (let position = 0; position < wanted; position++) {
    found.readElement(source, request.reference, cursor, position);
    const { bytes, view, offset, lengthBytes } = cursor;
    const score = request.storesDistances ? found.distance(position) / request.unitMeters : cursor.score;
    sortedSets.find(draft, bytes, view, offset, lengthBytes);
    if (sortedSets.add(draft, score, bytes, view, offset, lengthBytes)) continue;
    sortedSets.release(draft);
    return false;
  }
  sortedSets.packIfSmall(draft);
  return true;
}

function searchPlaces(context: CommandContext, form: Form, mayStore = false): void {
  if (!request.read(context, form, mayStore)) return;
  const source = context.shard.sortedSets;
  const wanted = request.reference === 0 ? 0 : search(source);
  if (request.destination === 0) {
    replyFound(context, wanted);
    return;
  }
  context.findWrite(request.destination);
  if (wanted === 0) {
    deleteTarget(context);
  } else if (draftFound(context, source, wanted)) {
    const isSearch = form === Form.SearchStore;
    storeDraft(context, isSearch ? KeyEvent.GeoSearchStore : KeyEvent.GeoRadiusStore, wanted);
  } else {
    context.reply.error(OUT_OF_MEMORY);
  }
}

export const geoSearchHandlers: Readonly<Record<string, Handler>> = {
  GEORADIUS: (context) => searchPlaces(context, Form.AroundPlace, true),
  GEORADIUSBYMEMBER: (context) => searchPlaces(context, Form.AroundMember, true),
  GEORADIUSBYMEMBER_RO: (context) => searchPlaces(context, Form.AroundMember),
  GEORADIUS_RO: (context) => searchPlaces(context, Form.AroundPlace),
  GEOSEARCH: (context) => searchPlaces(context, Form.Search),
  GEOSEARCHSTORE: (context) => searchPlaces(context, Form.SearchStore),
};
