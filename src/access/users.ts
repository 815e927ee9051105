/** All users of a server. The default user is always among them. */

import { mergeRules, UnmatchedParenthesis } from './merge-rules.js';
import { RuleError } from './rule-errors.js';
import type { RuleContext } from './selector.js';
import { DEFAULT_USER, isUserName, User, type UserSnapshot } from './user.js';

export class Users {
  readonly context: RuleContext;
  private readonly byName = new Map<string, User>();
  private readonly byId = new Map<number, User>();
  private nextId: number;
  /** The names of those that were changed since `takeChanges`. */
  private readonly changed = new Set<string>();

  /** The default user alone. */
  constructor(context: RuleContext, nextId = 1) {
    this.context = context;
    this.nextId = nextId;
    this.put(User.createDefault(this.takeId(), context));
  }

  private takeId(): number {
    return this.nextId++;
  }

  private put(user: User): void {
    const before = this.byName.get(user.name);
    if (before !== undefined) this.byId.delete(before.id);
    this.byName.set(user.name, user);
    this.byId.set(user.id, user);
    this.changed.add(user.name);
  }

  private remove(name: string): boolean {
    const user = this.byName.get(name);
    if (user === undefined) return false;
    this.byName.delete(name);
    this.byId.delete(user.id);
    this.changed.add(name);
    return true;
  }

  get(name: string): User | undefined {
    return this.byName.get(name);
  }

  withId(id: number): User | undefined {
    return this.byId.get(id);
  }

  get default(): User {
    return this.byName.get(DEFAULT_USER) as User;
  }

  /** Whether at least one user is restricted. */
  get hasRestricted(): boolean {
    for (const user of this.byName.values()) if (!user.isUnrestricted) return true;
    return false;
  }

  /** The users in the byte order of their names. */
  sorted(): User[] {
    return [...this.byName.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** The lines of a file with all users. */
  lines(): string[] {
    return this.sorted().map((user) => `user ${user.name} ${user.describe()}`);
  }

  /**
   * Changes a user by rules (byte strings), or creates it. If one rule is wrong, none is applied.
   * @returns what is wrong, null if nothing is
   */
  set(name: string, args: readonly string[]): string | null {
    let rules: string[];
    try {
      rules = mergeRules(args);
    } catch (error) {
      if (!(error instanceof UnmatchedParenthesis)) throw error;
      return `Unmatched parenthesis in acl selector starting at '${args[error.index]}'.`;
    }
    const known = this.byName.get(name);
    const user = known?.copy(this.context) ?? new User(name, 0, this.context);
    for (const rule of rules) {
      const error = user.apply(rule, this.context);
      if (error !== null) return `Error in ACL SETUSER modifier '${rule}': ${error}`;
    }
    this.put(known === undefined ? user.copy(this.context, name, this.takeId()) : user);
    return null;
  }

  /** Returns whether there was such a user. */
  delete(name: string): boolean {
    if (name === DEFAULT_USER) throw new Error('the default user stays');
    return this.remove(name);
  }

  /** Applies `requirepass`; '' for no password. */
  setDefaultPassword(password: string): void {
    const user = this.default.copy(this.context);
    user.apply('resetpass', this.context);
    user.apply(password === '' ? 'nopass' : `>${password}`, this.context);
    this.put(user);
  }

  /**
   * Takes over the `user` lines of a configuration, whose arguments begin with the name.
   * @returns what is wrong, null if nothing is
   */
  addConfigured(lines: readonly (readonly string[])[]): string | null {
    const seen = new Set<string>();
    for (const [name, ...args] of lines) {
      const declaration = (text: string, error: string): string =>
        `Error in user declaration '${text}': ${error}`;
      if (seen.has(name)) return declaration(name, RuleError.Duplicate);
      seen.add(name);
      if (!isUserName(name)) return 'Spaces not allowed in ACL usernames';
      let rules: string[];
      try {
        rules = mergeRules(args);
      } catch (error) {
        if (!(error instanceof UnmatchedParenthesis)) throw error;
        return declaration(args[error.index], 'Unmatched parenthesis in acl selector');
      }
      const user = new User(name, this.byName.get(name)?.id ?? this.takeId(), this.context);
      if (name === DEFAULT_USER) user.apply('reset', this.context);
      for (const rule of rules) {
        const error = user.apply(rule, this.context);
        if (error !== null) return declaration(withoutPassword(rule), error);
      }
      this.put(user);
    }
    return null;
  }

  /**
   * Reads the users of a file that is to replace all users. If the file lacks the default user, that is reset. Users whom
   * there are already keep their ids, so their clients stay.
   * @param text a byte string
   * @returns the users, or all that is wrong with the file, in one line
   */
  replacedByFile(text: string, file: string): Users | string {
    const users = new Users(this.context, this.nextId);
    const inFile = new Set<string>();
    let errors = '';
    text.split('\n').forEach((line, index) => {
      const trimmed = line.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, '');
      if (trimmed === '') return;
      errors += users.addFileLine(trimmed.split(' '), `${file}:${index + 1}`, index + 1, inFile, this);
    });
    if (errors !== '')
      return `${errors}WARNING: ACL errors detected, no change to the previously active ACL rules was performed`;
    users.put(users.default.copy(this.context, DEFAULT_USER, this.default.id));
    return users;
  }

  /** Returns what is wrong with the line. */
  private addFileLine(
    args: readonly string[],
    place: string,
    number: number,
    inFile: Set<string>,
    before: Users,
  ): string {
    const [keyword, name, ...rest] = args;
    if (keyword !== 'user' || name === undefined)
      return `${place} should start with user keyword followed by the username. `;
    if (!isUserName(name)) return `'${place}: username '${name}' contains invalid characters. `;
    if (inFile.has(name)) return `WARNING: Duplicate user '${name}' found on line ${number}. `;
    inFile.add(name);
    const user = new User(name, before.get(name)?.id ?? this.takeId(), this.context);
    this.put(user);
    let rules: string[];
    try {
      rules = mergeRules(rest);
    } catch (error) {
      if (!(error instanceof UnmatchedParenthesis)) throw error;
      return `${place}: Unmatched parenthesis in selector definition.`;
    }
    let errors = '';
    let hasSyntaxError = false;
    for (const rule of rules) {
      const trimmed = rule.replace(/^[\t\r\n]+|[\t\r\n]+$/g, '');
      const error = user.apply(trimmed, this.context);
      if (error === null) continue;
      // An unknown command is no password: it may be shown.
      if (error === RuleError.Unknown)
        errors += `${place}: Error in applying operation '${trimmed}': ${error}. `;
      else if (!hasSyntaxError) errors += `${place}: ${error}. `;
      if (error !== RuleError.Unknown) hasSyntaxError = true;
    }
    return errors;
  }

  /** Replaces all users by `users`. */
  private become(users: Users): void {
    for (const name of [...this.byName.keys()]) if (!users.byName.has(name)) this.remove(name);
    for (const user of users.byName.values()) this.put(user);
    this.nextId = users.nextId;
  }

  /** Replaces all users by those of a file; returns what is wrong with the file, null if nothing is. */
  load(text: string, file: string): string | null {
    const users = this.replacedByFile(text, file);
    if (typeof users === 'string') return users;
    this.become(users);
    return null;
  }

  /** All users as lines, for `apply`. */
  serialize(): string[] {
    return [`=${this.nextId}`, ...[...this.byName.values()].map(lineOf)];
  }

  /** The lines of the users that have changed since the last call; null if none has. */
  takeChanges(): string[] | null {
    const { changed, byName } = this;
    if (changed.size === 0) return null;
    const lines = [`=${this.nextId}`];
    for (const name of changed) {
      const user = byName.get(name);
      lines.push(user === undefined ? `-${JSON.stringify(name)}` : lineOf(user));
    }
    changed.clear();
    return lines;
  }

  /** Takes over lines of `serialize` or `takeChanges`, from another thread. */
  apply(lines: readonly string[], isAll: boolean): void {
    const left = new Set(isAll ? this.byName.keys() : []);
    for (const line of lines) {
      if (line.startsWith('=')) {
        this.nextId = Number(line.slice(1));
      } else if (line.startsWith('-')) {
        this.remove(JSON.parse(line.slice(1)) as string);
      } else {
        const snapshot = JSON.parse(line) as UserSnapshot;
        left.delete(snapshot.name);
        const known = this.byName.get(snapshot.name);
        if (known === undefined || lineOf(known) !== line) this.put(User.of(snapshot, this.context));
      }
    }
    for (const name of left) this.remove(name);
    this.changed.clear();
  }
}

function lineOf(user: User): string {
  return JSON.stringify(user.toSnapshot());
}

/** A rule as it may be shown, with a password redacted. */
function withoutPassword(rule: string): string {
  return /^[<>#!]/.test(rule) ? `${rule[0]}(redacted)` : rule;
}
