/**
 * The command table: rows (command-rows.ts) joined with handlers. COMMAND, ACL, routing and the executor
 * all read this one table; a row without a handler is an unknown command.
 */

import { KeyPermission } from '../../access/selector.js';
import type { Blocking } from '../blocking.js';
import type { CommandContext } from '../context.js';
import { COMMAND_ROWS, type CommandRow } from './command-rows.js';
import { isNewerCommand } from './missing-commands.js';

export type Handler = (context: CommandContext) => void;

/** The argument of EVAL and FCALL that is their first key; the one before it says how many there are. */
export const FIRST_SCRIPT_KEY = 3;

export const enum CommandFlag {
  Write = 1 << 0,
  Readonly = 1 << 1,
  DenyOom = 1 << 2,
  Admin = 1 << 3,
  Pubsub = 1 << 4,
  Noscript = 1 << 5,
  Blocking = 1 << 6,
  Loading = 1 << 7,
  Stale = 1 << 8,
  SkipMonitor = 1 << 9,
  SkipSlowlog = 1 << 10,
  Asking = 1 << 11,
  Fast = 1 << 12,
  NoAuth = 1 << 13,
  MayReplicate = 1 << 14,
  NoMandatoryKeys = 1 << 15,
  Protected = 1 << 16,
  NoAsyncLoading = 1 << 17,
  NoMulti = 1 << 18,
  AllowBusy = 1 << 19,
  Sentinel = 1 << 20,
  TouchesArbitraryKeys = 1 << 21,
  Experimental = 1 << 22,
  MovableKeys = 1 << 23,
}

const FLAG_OF_WORD: Readonly<Record<string, number>> = {
  write: CommandFlag.Write,
  readonly: CommandFlag.Readonly,
  denyoom: CommandFlag.DenyOom,
  admin: CommandFlag.Admin,
  pubsub: CommandFlag.Pubsub,
  noscript: CommandFlag.Noscript,
  blocking: CommandFlag.Blocking,
  loading: CommandFlag.Loading,
  stale: CommandFlag.Stale,
  skip_monitor: CommandFlag.SkipMonitor,
  skip_slowlog: CommandFlag.SkipSlowlog,
  asking: CommandFlag.Asking,
  fast: CommandFlag.Fast,
  no_auth: CommandFlag.NoAuth,
  may_replicate: CommandFlag.MayReplicate,
  no_mandatory_keys: CommandFlag.NoMandatoryKeys,
  protected: CommandFlag.Protected,
  no_async_loading: CommandFlag.NoAsyncLoading,
  no_multi: CommandFlag.NoMulti,
  allow_busy: CommandFlag.AllowBusy,
  sentinel: CommandFlag.Sentinel,
  touches_arbitrary_keys: CommandFlag.TouchesArbitraryKeys,
  experimental: CommandFlag.Experimental,
};

/** What a command does with a key, as key specs say it. */
export const enum KeyFlag {
  ReadWrite = 1 << 0,
  ReadOnly = 1 << 1,
  Overwrite = 1 << 2,
  Remove = 1 << 3,
  Access = 1 << 4,
  Update = 1 << 5,
  Insert = 1 << 6,
  Delete = 1 << 7,
  /** The argument is looked up by slot as a key is, but names something else (a shard channel). */
  NotKey = 1 << 8,
  /** The spec may miss keys. */
  Incomplete = 1 << 9,
  /** The command's options decide what is done with the key; the spec says the most that it can be. */
  VariableFlags = 1 << 10,
}

const KEY_FLAG_OF_WORD: Readonly<Record<string, number>> = {
  RW: KeyFlag.ReadWrite,
  RO: KeyFlag.ReadOnly,
  OW: KeyFlag.Overwrite,
  RM: KeyFlag.Remove,
  ACCESS: KeyFlag.Access,
  UPDATE: KeyFlag.Update,
  INSERT: KeyFlag.Insert,
  DELETE: KeyFlag.Delete,
  NOT_KEY: KeyFlag.NotKey,
  INCOMPLETE: KeyFlag.Incomplete,
  VARIABLE_FLAGS: KeyFlag.VariableFlags,
};

export type KeySpecBegin =
  | { readonly kind: 'index'; readonly position: number }
  | { readonly kind: 'keyword'; readonly keyword: string; readonly startFrom: number }
  | { readonly kind: 'unknown' };

export type KeySpecFind =
  | { readonly kind: 'range'; readonly lastKey: number; readonly step: number; readonly limit: number }
  | { readonly kind: 'keynum'; readonly index: number; readonly firstKey: number; readonly step: number }
  | { readonly kind: 'unknown' };

export interface KeySpec {
  /** KeyFlag bits. */
  readonly flags: number;
  /** Why the spec is as it is; may be empty. */
  readonly notes: string;
  readonly begin: KeySpecBegin;
  readonly find: KeySpecFind;
}

export const enum PopEnd {
  None = 0,
  First = 1,
  Last = 2,
}

/** What Damselfly asks of a command (command-rows.ts has what each means). */
export const enum CommandTrait {
  Quick = 1 << 0,
  Order = 1 << 1,
  LocksAll = 1 << 2,
  AllShards = 1 << 3,
  Immediate = 1 << 4,
  RunsQueue = 1 << 5,
  Bracket = 1 << 6,
  Unlogged = 1 << 7,
  NeedsData = 1 << 8,
  Stoppable = 1 << 9,
  WhileSubscribed = 1 << 10,
  QuickWithOneKey = 1 << 11,
  KeepsCaching = 1 << 12,
  RunsScript = 1 << 13,
  Pushes = 1 << 14,
  InScripts = 1 << 15,
}

/** Which arguments of a command are secret. */
export const enum SecretRule {
  None,
  /** All. */
  Auth,
  /** The two behind AUTH. */
  Hello,
  /** Those behind AUTH and AUTH2. */
  Migrate,
  /** Values of directives that are secret. */
  Config,
  /** All behind the subcommand. */
  User,
}

/** Which arguments of a command name channels. */
export const enum ChannelRule {
  None,
  /** The first one, to publish to. */
  Publish,
  /** All, to subscribe to. */
  Subscribe,
  /** All, patterns to subscribe to. */
  SubscribePattern,
}

/** Which databases a command works on. */
export const enum DatabaseRule {
  /** The one that the client uses, if the command names keys, else none. */
  Keys,
  /** The one that the client uses. */
  Current,
  /** The one that the first argument names, and none else. */
  Select,
  /** The two that the arguments name. */
  Swap,
  /** That of the keys, and the one that the second argument names. */
  Move,
  /** That of the keys, and the one behind the option DB. */
  Copy,
  All,
}

export interface Command {
  /** Dense index; statistics live at it. */
  readonly id: number;
  /** Lower case, without the container. */
  readonly name: string;
  /** As "client|list". */
  readonly fullName: string;
  readonly group: string;
  readonly since: string;
  readonly arity: number;
  readonly flags: number;
  /** Words of the row, in the order of the command table. */
  readonly flagWords: readonly string[];
  readonly categoryWords: readonly string[];
  readonly tips: readonly string[];
  readonly keySpecs: readonly KeySpec[];
  /** How keys are found that the specs do not describe. */
  readonly keyRule: KeyRule;
  readonly firstKey: number;
  readonly lastKey: number;
  readonly keyStep: number;
  /** Whether there is anything in a request that may be a key. */
  readonly hasKeys: boolean;
  /**
   * The permissions that a request with one key needs for it: bits of KeyPermission (access/selector.ts), -1 if that
   * depends on the request.
   */
  readonly keyPermission: number;
  /** The only key's argument index if there always is exactly one key, else 0. */
  readonly singleKey: number;
  /** Whether all arguments are keys: with one, the command has one key. */
  readonly takesOnlyKeys: boolean;
  /** The argument that names a member of the key's collection, 0 if that is not always the same one. */
  readonly memberArgument: number;
  /** From which end of a sorted set it takes members. */
  readonly popEnd: PopEnd;
  /** CommandTrait bits. */
  readonly traits: number;
  readonly secretRule: SecretRule;
  readonly channelRule: ChannelRule;
  readonly databaseRule: DatabaseRule;
  readonly handler: Handler;
  /** How clients that wait for keys in this command are served; null if it never waits. */
  readonly blocking: Blocking | null;
  readonly parent: Command | null;
  readonly subcommands: Map<string, Command> | null;
}

/** Commands whose keys, or what is done with them, no key spec can describe. */
export const enum KeyRule {
  Specs,
  /** Keys by a count, which is read leniently: trailing text is ignored. */
  Count,
  Set,
  Bitfield,
  Sort,
  SortReadOnly,
  Migrate,
  Streams,
  GeoRadius,
}

const KEY_RULES: Readonly<Record<string, KeyRule>> = {
  set: KeyRule.Set,
  bitfield: KeyRule.Bitfield,
  sort: KeyRule.Sort,
  sort_ro: KeyRule.SortReadOnly,
  migrate: KeyRule.Migrate,
  streams: KeyRule.Streams,
  georadius: KeyRule.GeoRadius,
};

const SECRET_RULES: Readonly<Record<string, SecretRule>> = {
  auth: SecretRule.Auth,
  hello: SecretRule.Hello,
  migrate: SecretRule.Migrate,
  config: SecretRule.Config,
  user: SecretRule.User,
};

const CHANNEL_RULES: Readonly<Record<string, ChannelRule>> = {
  publish: ChannelRule.Publish,
  subscribe: ChannelRule.Subscribe,
  subscribe_pattern: ChannelRule.SubscribePattern,
};

const DATABASE_RULES: Readonly<Record<string, DatabaseRule>> = {
  current: DatabaseRule.Current,
  select: DatabaseRule.Select,
  swap: DatabaseRule.Swap,
  move: DatabaseRule.Move,
  copy: DatabaseRule.Copy,
  all: DatabaseRule.All,
};

const POP_ENDS: Readonly<Record<string, PopEnd>> = { first: PopEnd.First, last: PopEnd.Last };

const TRAIT_OF_WORD: Readonly<Record<string, number>> = {
  quick: CommandTrait.Quick,
  quick_with_one_key: CommandTrait.QuickWithOneKey,
  order: CommandTrait.Order,
  locks_all: CommandTrait.LocksAll,
  all_shards: CommandTrait.AllShards,
  immediate: CommandTrait.Immediate,
  runs_queue: CommandTrait.RunsQueue,
  bracket: CommandTrait.Bracket,
  unlogged: CommandTrait.Unlogged,
  needs_data: CommandTrait.NeedsData,
  stoppable: CommandTrait.Stoppable,
  while_subscribed: CommandTrait.WhileSubscribed,
  pushes: CommandTrait.Pushes,
  runs_script: CommandTrait.RunsScript,
  keeps_caching: CommandTrait.KeepsCaching,
  in_scripts: CommandTrait.InScripts,
};

/** What the last column of a row says. */
class Traits {
  /** CommandTrait bits. */
  bits = 0;
  member = 0;
  popEnd = PopEnd.None;
  keyRule = KeyRule.Specs;
  secretRule = SecretRule.None;
  channelRule = ChannelRule.None;
  databaseRule = DatabaseRule.Keys;

  constructor(text: string, name: string) {
    for (const word of text === '' ? [] : text.split(' ')) {
      const [trait, value = ''] = word.split(':');
      if (!this.set(trait, value)) throw new Error(`${name}: no trait ${word}`);
    }
  }

  /** Returns false if there is no such trait. */
  private set(trait: string, value: string): boolean {
    switch (trait) {
      case 'member':
        this.member = Number(value);
        return this.member > 0;
      case 'pop':
        this.popEnd = POP_ENDS[value];
        return this.popEnd !== undefined;
      case 'keys':
        this.keyRule = KEY_RULES[value];
        return this.keyRule !== undefined;
      case 'secret':
        this.secretRule = SECRET_RULES[value];
        return this.secretRule !== undefined;
      case 'channels':
        this.channelRule = CHANNEL_RULES[value];
        return this.channelRule !== undefined;
      case 'databases':
        this.databaseRule = DATABASE_RULES[value];
        return this.databaseRule !== undefined;
      default:
        this.bits |= TRAIT_OF_WORD[trait];
        return TRAIT_OF_WORD[trait] !== undefined && value === '';
    }
  }
}

function keyRuleOf(rule: KeyRule, keySpecs: readonly KeySpec[]): KeyRule {
  if (rule !== KeyRule.Specs) return rule;
  return keySpecs.some(({ find }) => find.kind === 'keynum') ? KeyRule.Count : KeyRule.Specs;
}

function parseKeySpec(text: string): KeySpec {
  const [flagText, beginText, findText, notes = ''] = text.split(' | ');
  const begin = beginText.split(' ');
  const find = findText.split(' ');
  let flags = 0;
  for (const word of flagText.split(' ')) flags |= KEY_FLAG_OF_WORD[word];
  return {
    flags,
    notes,
    begin:
      begin[0] === 'index'
        ? { kind: 'index', position: Number(begin[1]) }
        : begin[0] === 'keyword'
          ? { kind: 'keyword', keyword: begin[1], startFrom: Number(begin[2]) }
          : { kind: 'unknown' },
    find:
      find[0] === 'range'
        ? { kind: 'range', lastKey: Number(find[1]), step: Number(find[2]), limit: Number(find[3]) }
        : find[0] === 'keynum'
          ? { kind: 'keynum', index: Number(find[1]), firstKey: Number(find[2]), step: Number(find[3]) }
          : { kind: 'unknown' },
  };
}

/** The old-style [first, last, step] that COMMAND reports, from the specs that a range describes. */
function legacyKeyRange(specs: readonly KeySpec[]): [number, number, number] {
  let first = 0;
  let last = 0;
  let step = 0;
  for (const { begin, find } of specs) {
    if (begin.kind !== 'index' || find.kind !== 'range') continue;
    const specLast = find.lastKey >= 0 ? begin.position + find.lastKey : find.lastKey;
    if (first === 0) [first, last, step] = [begin.position, specLast, find.step];
    else if (last >= 0 && begin.position === last + 1 && find.step === 1) last = specLast;
  }
  return [first, last, step];
}

const WRITES = KeyFlag.Insert | KeyFlag.Delete | KeyFlag.Update;

/** The KeyPermission bits needed for what is done with a key. Only to see whether it exists needs none. */
export function keyPermissionOf(flags: number): number {
  return (
    ((flags & KeyFlag.Access) !== 0 ? KeyPermission.Read : 0) |
    ((flags & WRITES) !== 0 ? KeyPermission.Write : 0)
  );
}

/** The CommandFlag bits of a row's words. */
export function flagsOfWords(text: string): number {
  return text.split(' ').reduce((flags, word) => flags | (FLAG_OF_WORD[word] ?? 0), 0);
}

function createCommand(
  id: number,
  row: CommandRow,
  handler: Handler,
  blocking: Blocking | null,
  parent: Command | null,
): Command {
  const [fullRowName, group, since, arity, flagText, categoryText, specTexts, tipText = '', traitText = ''] =
    row;
  const flagWords = flagText === '' ? [] : flagText.split(' ');
  const keySpecs = specTexts.map(parseKeySpec);
  const traits = new Traits(traitText, fullRowName);
  const [firstKey, lastKey, keyStep] = legacyKeyRange(keySpecs);
  const isPlain = keySpecs.every((spec) => spec.begin.kind === 'index' && spec.find.kind === 'range');
  const isOneKey = isPlain && keySpecs.length === 1 && (keySpecs[0].flags & KeyFlag.NotKey) === 0;
  const flags = (isPlain ? 0 : CommandFlag.MovableKeys) | flagsOfWords(flagText);
  return {
    id,
    name: (parent === null ? fullRowName : fullRowName.slice(parent.name.length + 1)).toLowerCase(),
    fullName: fullRowName.toLowerCase().replace(' ', '|'),
    group,
    since,
    arity,
    flags,
    flagWords,
    categoryWords: categoryText === '' ? [] : categoryText.split(' '),
    tips: tipText === '' ? [] : tipText.split(' '),
    keySpecs,
    keyRule: keyRuleOf(traits.keyRule, keySpecs),
    firstKey,
    lastKey,
    keyStep,
    keyPermission: isOneKey && traits.keyRule === KeyRule.Specs ? keyPermissionOf(keySpecs[0].flags) : -1,
    hasKeys: keySpecs.some((spec) => (spec.flags & KeyFlag.NotKey) === 0),
    singleKey: isOneKey && firstKey === lastKey ? firstKey : 0,
    takesOnlyKeys: isOneKey && firstKey === 1 && lastKey === -1 && keyStep === 1,
    memberArgument: traits.member,
    popEnd: traits.popEnd,
    traits: traits.bits | ((flags & CommandFlag.Fast) !== 0 ? CommandTrait.Quick : 0),
    secretRule: traits.secretRule,
    channelRule: traits.channelRule,
    databaseRule: traits.databaseRule,
    handler,
    blocking,
    parent,
    subcommands: null,
  };
}

/** Index of the one key of a request with `argCount` arguments, 0 if it may have several or none. */
export function onlyKey(command: Command, argCount: number): number {
  const { singleKey } = command;
  if (singleKey !== 0) return argCount > singleKey ? singleKey : 0;
  return command.takesOnlyKeys && argCount === 2 ? 1 : 0;
}

/** Whether a request with `argCount` arguments is always short: its time need not be measured by itself. */
export function isQuick(command: Command, argCount: number): boolean {
  const { traits } = command;
  if ((traits & CommandTrait.Quick) !== 0) return true;
  return (traits & CommandTrait.QuickWithOneKey) !== 0 && onlyKey(command, argCount) !== 0;
}

const NAME_BYTES_MAX = 64;

export class CommandTable {
  private readonly commands: Command[] = [];
  private readonly topLevel = new Map<string, Command>();
  /** Names of rows without a handler, in upper case. */
  private readonly missing = new Set<string>();
  /** Open addressing over the hashes of upper-case names: index of the command + 1. */
  private slots = new Int32Array(2048);
  private byName: { name: Uint8Array; command: Command }[] = [];

  /** Joins rows and handlers. Handlers are keyed by row name, as is `blocking`; one that fits no row throws. */
  constructor(
    handlers: Readonly<Record<string, Handler>>,
    containerHandler: Handler,
    blocking: Readonly<Record<string, Blocking>> = {},
  ) {
    const rows = new Map(COMMAND_ROWS.map((row) => [row[0], row]));
    for (const name of Object.keys(handlers)) {
      if (!rows.has(name)) throw new Error(`no row for command ${name}`);
    }
    for (const row of COMMAND_ROWS) {
      const name = row[0];
      if (name.includes(' ')) continue;
      const prefix = `${name} `;
      const rowsBelow = COMMAND_ROWS.filter((child) => child[0].startsWith(prefix));
      const children = rowsBelow.filter((child) => handlers[child[0]]);
      for (const child of rowsBelow) if (!children.includes(child)) this.missing.add(child[0]);
      const handler = handlers[name] ?? (children.length > 0 ? containerHandler : undefined);
      if (handler === undefined) {
        this.missing.add(name);
        continue;
      }
      const command = createCommand(this.commands.length, row, handler, blocking[name] ?? null, null);
      this.commands.push(command);
      this.topLevel.set(command.name, command);
      if (children.length > 0) this.addSubcommands(command, children, handlers);
    }
    this.index();
  }

  private addSubcommands(
    parent: Command,
    rows: readonly CommandRow[],
    handlers: Readonly<Record<string, Handler>>,
  ): void {
    const subcommands = new Map<string, Command>();
    for (const row of rows) {
      const command = createCommand(this.commands.length, row, handlers[row[0]], null, parent);
      this.commands.push(command);
      subcommands.set(command.name, command);
    }
    (parent as { subcommands: Map<string, Command> }).subcommands = subcommands;
  }

  private index(): void {
    this.slots = new Int32Array(2048);
    this.byName = [];
    for (const [name, command] of this.topLevel) {
      const bytes = new TextEncoder().encode(name.toUpperCase());
      this.byName.push({ name: bytes, command });
      let slot = hashName(bytes, 0, bytes.length);
      while (this.slots[slot] !== 0) slot = (slot + 1) & 2047;
      this.slots[slot] = this.byName.length;
    }
  }

  /** Finds a command by its name in any case; subcommands are found by `lookupSubcommand`. */
  lookup(bytes: Uint8Array, offset: number, lengthBytes: number): Command | null {
    if (lengthBytes > NAME_BYTES_MAX) return null;
    const { slots, byName } = this;
    for (let slot = hashName(bytes, offset, lengthBytes); slots[slot] !== 0; slot = (slot + 1) & 2047) {
      const candidate = byName[slots[slot] - 1];
      const { name } = candidate;
      if (name.length !== lengthBytes) continue;
      let at = 0;
      while (at < lengthBytes && upper(bytes[offset + at]) === name[at]) at++;
      if (at === lengthBytes) return candidate.command;
    }
    return null;
  }

  /** Finds a subcommand of a container by its name in any case. */
  lookupSubcommand(
    container: Command,
    bytes: Uint8Array,
    offset: number,
    lengthBytes: number,
  ): Command | null {
    if (container.subcommands === null) return null;
    for (const [name, command] of container.subcommands) {
      if (name.length !== lengthBytes) continue;
      let at = 0;
      while (at < lengthBytes && upper(bytes[offset + at]) === upper(name.charCodeAt(at))) at++;
      if (at === lengthBytes) return command;
    }
    return null;
  }

  /** Finds a command by name, or a subcommand by "container|name". Any case. */
  byFullName(fullName: string): Command | null {
    const [name, subcommand, rest] = fullName.toLowerCase().split('|');
    const command = this.topLevel.get(name) ?? null;
    if (rest !== undefined) return null;
    if (subcommand === undefined || command === null) return command;
    return command.subcommands?.get(subcommand) ?? null;
  }

  /** Whether other servers have a command of that name, or "CONTAINER SUBCOMMAND", and this one not yet. Any case. */
  isMissing(name: string): boolean {
    const upperCase = name.toUpperCase();
    return this.missing.has(upperCase) || isNewerCommand(upperCase);
  }

  /** Gives a command another name, or with '' takes it away (`rename-command`). Returns false if there is none. */
  rename(from: string, to: string): boolean {
    const command = this.topLevel.get(from.toLowerCase());
    if (command === undefined || (to !== '' && this.topLevel.has(to.toLowerCase()))) return false;
    this.topLevel.delete(from.toLowerCase());
    if (to !== '') this.topLevel.set(to.toLowerCase(), command);
    this.index();
    return true;
  }

  /** Lets a command be found by another name, too, unless that is taken. */
  addName(name: string, other: string): void {
    const command = this.topLevel.get(name.toLowerCase());
    if (command === undefined || other === '' || this.topLevel.has(other.toLowerCase())) return;
    this.topLevel.set(other.toLowerCase(), command);
    this.index();
  }

  /** The command with an id. */
  byId(id: number): Command {
    return this.commands[id];
  }

  /** Top-level commands, in table order. */
  all(): Command[] {
    return [...this.topLevel.values()];
  }

  /** All ids are below this. */
  get size(): number {
    return this.commands.length;
  }
}

function upper(byte: number): number {
  return byte >= 0x61 && byte <= 0x7a ? byte - 32 : byte;
}

function hashName(bytes: Uint8Array, offset: number, lengthBytes: number): number {
  let hash = lengthBytes;
  for (let at = offset; at < offset + lengthBytes; at++) {
    hash = Math.imul(hash, 31) + (bytes[at] & 0xdf);
  }
  return (hash ^ (hash >>> 11)) & 2047;
}
