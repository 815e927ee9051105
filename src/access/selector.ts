/**
 * One set of permissions: commands, and the keys, channels and databases that they may name. A user has one of its own
 * and any number of others; one of them has to allow all parts of a command.
 */

import { AllowedCommands } from './allowed-commands.js';
import { type CommandCatalog, categoryIndex } from './catalog.js';
import { NamePattern } from './name-pattern.js';
import { hasSpaces, RuleError, untilZero } from './rule-errors.js';

export const enum KeyPermission {
  Read = 1,
  Write = 2,
  All = 3,
}

export interface KeyPattern {
  /** KeyPermission bits. */
  permission: number;
  readonly pattern: NamePattern;
}

/** What is needed to read rules. */
export interface RuleContext {
  readonly catalog: CommandCatalog;
  /** `databases`: rules may name numbers below this. */
  readonly databases: number;
  /** `acl-pubsub-default` is allchannels. */
  readonly allowsChannels: boolean;
}

/** A selector as plain data. */
export interface SelectorSnapshot {
  /** The bits of the commands, as numbers of 32 bits. */
  readonly commands: readonly number[];
  readonly allCommands: boolean;
  readonly firstArguments: readonly (readonly [command: number, args: readonly string[]])[];
  readonly allKeys: boolean;
  readonly keys: readonly (readonly [permission: number, pattern: string])[];
  readonly allChannels: boolean;
  readonly channels: readonly string[];
  /** null: all. */
  readonly databases: readonly number[] | null;
}

export class Selector {
  readonly commands: AllowedCommands;
  allKeys = false;
  keys: KeyPattern[] = [];
  allChannels: boolean;
  channels: NamePattern[] = [];
  /** null: all. */
  databases: number[] | null = null;

  constructor({ catalog, allowsChannels }: RuleContext) {
    this.commands = new AllowedCommands(catalog);
    this.allChannels = allowsChannels;
  }

  /** Whether nothing is denied. */
  get isUnrestricted(): boolean {
    return this.commands.isAll && this.allKeys && this.allChannels && this.databases === null;
  }

  /** Applies one rule. Returns what is wrong with it, null if nothing is. */
  apply(rule: string, context: RuleContext): RuleError | null {
    const { commands } = this;
    switch (untilZero(rule).toLowerCase()) {
      case 'allkeys':
      case '~*':
        this.allKeys = true;
        this.keys = [];
        return null;
      case 'resetkeys':
        this.allKeys = false;
        this.keys = [];
        return null;
      case 'allchannels':
      case '&*':
        this.allChannels = true;
        this.channels = [];
        return null;
      case 'resetchannels':
        this.allChannels = false;
        this.channels = [];
        return null;
      case 'alldbs':
        this.databases = null;
        return null;
      case 'resetdbs':
        this.databases = [];
        return null;
      case 'allcommands':
      case '+@all':
        commands.allowAll();
        return null;
      case 'nocommands':
      case '-@all':
        commands.denyAll();
        return null;
    }
    switch (rule[0]) {
      case '~':
        return this.addKeyPattern(KeyPermission.All, rule.slice(1));
      case '%':
        return this.addKeyRule(rule);
      case '&':
        return this.addChannel(rule.slice(1));
      case '+':
      case '-':
        return this.changeCommands(untilZero(rule), context.catalog);
    }
    return /^db=/i.test(rule) ? this.addDatabases(rule.slice(3), context.databases) : RuleError.Syntax;
  }

  /** A rule like `%R~pattern`. */
  private addKeyRule(rule: string): RuleError | null {
    if (this.allKeys) return RuleError.PatternAfterAllKeys;
    let permission = 0;
    let at = 1;
    for (; at < rule.length && rule[at] !== '~'; at++) {
      const letter = rule[at].toUpperCase();
      const added = letter === 'R' ? KeyPermission.Read : letter === 'W' ? KeyPermission.Write : 0;
      if (added === 0 || (permission & added) !== 0) return RuleError.Syntax;
      permission |= added;
    }
    if (permission === 0) return RuleError.Syntax;
    return this.addKeyPattern(permission, rule.slice(at + 1));
  }

  private addKeyPattern(permission: number, text: string): RuleError | null {
    if (this.allKeys) return RuleError.PatternAfterAllKeys;
    if (hasSpaces(text)) return RuleError.Syntax;
    const known = this.keys.find(({ pattern }) => pattern.text === text);
    if (known === undefined) this.keys.push({ permission, pattern: new NamePattern(text) });
    else known.permission |= permission;
    return null;
  }

  private addChannel(text: string): RuleError | null {
    if (this.allChannels) return RuleError.PatternAfterAllChannels;
    if (hasSpaces(text)) return RuleError.Syntax;
    if (!this.channels.some((known) => known.text === text)) this.channels.push(new NamePattern(text));
    return null;
  }

  private addDatabases(list: string, count: number): RuleError | null {
    const added: number[] = [];
    for (const text of list.split(',')) {
      if (!/^\d{1,10}$/.test(text))
        return /^-?\d+$/.test(text) ? RuleError.DatabaseOutOfRange : RuleError.Syntax;
      if (Number(text) >= count) return RuleError.DatabaseOutOfRange;
      added.push(Number(text));
    }
    this.databases = [...new Set([...(this.databases ?? []), ...added])].sort((one, other) => one - other);
    return null;
  }

  private changeCommands(rule: string, catalog: CommandCatalog): RuleError | null {
    const { commands } = this;
    const isAllowed = rule[0] === '+';
    const name = rule.slice(1);
    if (name.startsWith('@')) {
      const category = categoryIndex(name.slice(1));
      if (category < 0) return RuleError.Unknown;
      commands.changeCategory(category, isAllowed);
      return null;
    }
    const bar = name.lastIndexOf('|');
    if (isAllowed && bar >= 0) return this.allowPart(name, bar, catalog);
    const command = catalog.find(name);
    if (command < 0) return RuleError.Unknown;
    commands.change(command, isAllowed);
    return null;
  }

  /** Allows a subcommand, or a command with one first argument. */
  private allowPart(name: string, bar: number, catalog: CommandCatalog): RuleError | null {
    const command = catalog.find(name.slice(0, bar));
    const argument = name.slice(bar + 1);
    if (command < 0) return RuleError.Unknown;
    if (catalog.commands[command].parent >= 0) return RuleError.FirstArgumentOfSubcommand;
    if (argument === '') return RuleError.Syntax;
    if (catalog.subcommandsOf(command).length === 0) {
      this.commands.addFirstArgument(command, argument);
      return null;
    }
    const subcommand = catalog.find(name);
    if (subcommand < 0) return RuleError.Unknown;
    this.commands.change(subcommand, true);
    return null;
  }

  /** As ACL GETUSER shows it. */
  describeKeys(): string {
    if (this.allKeys) return '~*';
    return this.keys.map(({ permission, pattern }) => `${prefixOf(permission)}${pattern.text}`).join(' ');
  }

  /** As ACL GETUSER shows it. */
  describeChannels(): string {
    return this.allChannels ? '&*' : this.channels.map(({ text }) => `&${text}`).join(' ');
  }

  /** '' if all databases are allowed. */
  describeDatabases(): string {
    const { databases } = this;
    if (databases === null) return '';
    return databases.length === 0 ? 'resetdbs' : `db=${databases.join(',')}`;
  }

  /** The rules that turn a new selector into this one. */
  describe(): string {
    const channels = this.describeChannels();
    return [
      this.describeKeys(),
      this.allChannels ? channels : `resetchannels ${channels}`.trimEnd(),
      this.describeDatabases(),
      this.commands.describe(),
    ]
      .filter((part) => part !== '')
      .join(' ');
  }

  copy(context: RuleContext): Selector {
    return Selector.of(this.toSnapshot(), context);
  }

  toSnapshot(): SelectorSnapshot {
    const { commands, databases } = this;
    return {
      commands: [...commands.bits],
      allCommands: commands.isAll,
      firstArguments: [...commands.firstArguments].map(([command, args]) => [command, [...args]]),
      allKeys: this.allKeys,
      keys: this.keys.map(({ permission, pattern }) => [permission, pattern.text]),
      allChannels: this.allChannels,
      channels: this.channels.map(({ text }) => text),
      databases: databases === null ? null : [...databases],
    };
  }

  static of(snapshot: SelectorSnapshot, context: RuleContext): Selector {
    const selector = new Selector(context);
    const { commands } = selector;
    commands.bits.set(snapshot.commands);
    commands.isAll = snapshot.allCommands;
    for (const [command, args] of snapshot.firstArguments) commands.firstArguments.set(command, [...args]);
    selector.allKeys = snapshot.allKeys;
    selector.keys = snapshot.keys.map(([permission, text]) => ({
      permission,
      pattern: new NamePattern(text),
    }));
    selector.allChannels = snapshot.allChannels;
    selector.channels = snapshot.channels.map((text) => new NamePattern(text));
    selector.databases = snapshot.databases === null ? null : [...snapshot.databases];
    return selector;
  }
}

function prefixOf(permission: number): string {
  if (permission === KeyPermission.All) return '~';
  return permission === KeyPermission.Read ? '%R~' : '%W~';
}
