/** The filters of CLIENT LIST and CLIENT KILL, with those of Valkey 9: a client has to fit all of them. */

import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import {
  CLIENT_FLAG_LETTERS,
  type ClientFilter,
  type ClientTraits,
  type ClientType,
} from '../../state/client-table.js';

/** CLIENT CAPA of Valkey knows one capability, to be redirected. */
const CAPABILITY_LETTERS = 'r';

const TYPES: Readonly<Record<string, ClientType>> = {
  normal: 'normal',
  master: 'master',
  primary: 'master',
  slave: 'replica',
  replica: 'replica',
  pubsub: 'pubsub',
};

/** Filters whose value is any text; latin1: texts of clients that are kept byte by byte. */
const TEXT_FILTERS: readonly (readonly [
  word: string,
  trait: 'address' | 'localAddress' | 'ip' | 'name' | 'libraryName' | 'libraryVersion',
  isLatin1: boolean,
])[] = [
  ['ADDR', 'address', false],
  ['LADDR', 'localAddress', false],
  ['IP', 'ip', false],
  ['NAME', 'name', true],
  ['LIB-NAME', 'libraryName', true],
  ['LIB-VER', 'libraryVersion', true],
];

const OTHER_FILTERS = ['SKIPME', 'MAXAGE', 'IDLE', 'ID', 'TYPE', 'USER', 'FLAGS', 'CAPA', 'DB'];
const FILTERS = new Set([...OTHER_FILTERS, ...TEXT_FILTERS.map(([word]) => word)]);

export interface FilterRules {
  /** The error for an id that is not a number from `idMin` on. */
  readonly badId: string;
  readonly idMin: number;
  /** The error for what follows an id and is neither another one nor a filter. */
  readonly badNextId: string;
  /** Whether the client itself is left out if SKIPME does not say it. */
  readonly skipsSelf: boolean;
}

/** Reads the filters from an argument on. Replies an error and returns null if they can't be understood. */
export function readClientFilter(
  context: CommandContext,
  first: number,
  rules: FilterRules,
): ClientFilter | null {
  const filter: ClientFilter = {};
  const not: ClientTraits = {};
  let skipsSelf = rules.skipsSelf;
  let index = first;
  while (index < context.argCount) {
    if (index + 1 === context.argCount) return refuse(context, SYNTAX_ERROR);
    const value = index + 1;
    if (context.argIs(index, 'SKIPME')) {
      skipsSelf = context.argIs(value, 'YES');
      if (!skipsSelf && !context.argIs(value, 'NO')) return refuse(context, SYNTAX_ERROR);
      index += 2;
    } else if (context.argIs(index, 'MAXAGE')) {
      if (!readSeconds(context, value, 'maxage')) return null;
      filter.ageSecondsMin = context.number.value;
      index += 2;
    } else if (context.argIs(index, 'IDLE')) {
      if (!readSeconds(context, value, 'idle')) return null;
      filter.idleSecondsMin = context.number.value;
      index += 2;
    } else {
      const word = context.argLatin1(index).toUpperCase();
      const isNegative = word.startsWith('NOT-');
      const taken = readTrait(
        context,
        isNegative ? word.slice(4) : word,
        value,
        isNegative ? not : filter,
        rules,
      );
      if (taken === 0) return null;
      index += 1 + taken;
    }
  }
  if (Object.keys(not).length > 0) filter.not = not;
  if (skipsSelf) filter.skipId = context.session.id;
  return filter;
}

function refuse(context: CommandContext, error: string): null {
  context.reply.error(error);
  return null;
}

/** Reads seconds into `context.number`; replies an error and returns false if they are none. */
function readSeconds(context: CommandContext, index: number, name: string): boolean {
  if (!context.integer(index, `ERR ${name} is not an integer or out of range`)) return false;
  if (context.number.value >= 1) return true;
  context.reply.error(`ERR ${name} should be greater than 0`);
  return false;
}

/** Reads what follows a filter's word. Returns how many arguments that took, 0 after an error. */
function readTrait(
  context: CommandContext,
  word: string,
  value: number,
  traits: ClientTraits,
  rules: FilterRules,
): number {
  const { reply } = context;
  switch (word) {
    case 'ID':
      return readIds(context, value, traits, rules);
    case 'TYPE':
      traits.type = TYPES[context.argLatin1(value).toLowerCase()];
      if (traits.type !== undefined) return 1;
      reply.error(`ERR Unknown client type '${context.argLatin1(value)}'`);
      return 0;
    case 'USER':
      traits.user = context.argText(value);
      if (context.services.access.users.get(context.argLatin1(value)) !== undefined) return 1;
      reply.error(`ERR No such user '${context.argLatin1(value)}'`);
      return 0;
    case 'FLAGS':
      traits.flags = context.argLatin1(value);
      return checkLetters(context, 'flags', traits.flags, CLIENT_FLAG_LETTERS);
    case 'CAPA':
      traits.capabilities = context.argLatin1(value);
      return checkLetters(context, 'capa', traits.capabilities, CAPABILITY_LETTERS);
    case 'DB':
      return readDatabase(context, value, traits);
    default: {
      const row = TEXT_FILTERS.find(([known]) => known === word);
      if (row === undefined) {
        reply.error(SYNTAX_ERROR);
        return 0;
      }
      const [, trait, isLatin1] = row;
      traits[trait] = isLatin1 ? context.argLatin1(value) : context.argText(value);
      return 1;
    }
  }
}

/** One id at least, and as many more as follow. */
function readIds(
  context: CommandContext,
  first: number,
  traits: ClientTraits,
  { badId, badNextId, idMin }: FilterRules,
): number {
  const ids = new Set(traits.ids);
  let index = first;
  while (index < context.argCount && (index === first || isInteger(context, index))) {
    if (!context.integer(index, badId)) return 0;
    if (context.number.value < idMin) {
      context.reply.error(badId);
      return 0;
    }
    ids.add(context.number.value);
    index++;
  }
  if (index < context.argCount && !isFilter(context.argLatin1(index))) {
    context.reply.error(badNextId);
    return 0;
  }
  traits.ids = ids;
  return index - first;
}

/** Whether an argument is an integer, which is then in `context.number`. */
export function isInteger(context: CommandContext, index: number): boolean {
  return context.number.parse(context.bytes, context.argOffset(index), context.argLength(index));
}

function isFilter(word: string): boolean {
  return FILTERS.has(word.toUpperCase().replace(/^NOT-/, ''));
}

function checkLetters(context: CommandContext, name: string, letters: string, known: string): number {
  for (const letter of letters) {
    if (known.includes(letter)) continue;
    context.reply.error(`ERR Unknown ${name} found in the provided filter: ${letters}`);
    return 0;
  }
  return 1;
}

function readDatabase(context: CommandContext, index: number, traits: ClientTraits): number {
  if (!context.integer(index, 'ERR DB is not an integer or out of range')) return 0;
  const database = context.number.value;
  const last = context.services.config.databases - 1;
  if (database < 0 || database > last) {
    context.reply.error(`ERR DB number should be between 0 and ${last}`);
    return 0;
  }
  traits.database = database;
  return 1;
}
