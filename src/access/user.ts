/**
 * A user: whether and how clients may authenticate as this user, and what they may do then.
 *
 * A rule is applied only to a copy of a user, which then replaces the old one (users.ts): so a user that a session
 * refers to never changes.
 */

import { splitArguments } from '../config/quoting.js';
import { hashPassword, hasPassword, isPasswordHash } from './passwords.js';
import { hasSpaces, RuleError, untilZero } from './rule-errors.js';
import { type RuleContext, Selector, type SelectorSnapshot } from './selector.js';

export const DEFAULT_USER = 'default';

/** The rules of the default user if nothing is configured. */
const DEFAULT_RULES = ['+@all', '~*', '&*', 'on', 'nopass'];

export interface UserSnapshot {
  readonly name: string;
  readonly id: number;
  readonly isOn: boolean;
  readonly needsNoPassword: boolean;
  /** skip-sanitize-payload, sanitize-payload, or '' while neither was said. */
  readonly sanitizing: string;
  readonly passwords: readonly string[];
  readonly selectors: readonly SelectorSnapshot[];
}

export class User {
  /** A byte string. */
  readonly name: string;
  /** Tells a deleted user from a later user of the same name. */
  readonly id: number;
  isOn = false;
  needsNoPassword = false;
  private sanitizing = '';
  /** The SHA-256 of each, in hexadecimal. */
  passwords: string[] = [];
  /** The user's own selector first. */
  selectors: Selector[];
  /** Cached result of `describe`; null after a rule was applied. */
  private description: string | null = null;

  constructor(name: string, id: number, context: RuleContext) {
    this.name = name;
    this.id = id;
    this.selectors = [new Selector(context)];
  }

  static createDefault(id: number, context: RuleContext): User {
    const user = new User(DEFAULT_USER, id, context);
    for (const rule of DEFAULT_RULES) user.apply(rule, context);
    return user;
  }

  /** Whether the user may do everything: then no command has to be checked. */
  get isUnrestricted(): boolean {
    return this.selectors.some((selector) => selector.isUnrestricted);
  }

  /** Whether clients are this user without authenticating. Only meaningful for the default user. */
  get needsNoAuthentication(): boolean {
    return this.isOn && this.needsNoPassword;
  }

  /** @param password a byte string */
  accepts(password: string): boolean {
    return this.isOn && (this.needsNoPassword || hasPassword(this.passwords, password));
  }

  /** Applies one rule, a byte string. Returns what is wrong with it, null if nothing is. */
  apply(rule: string, context: RuleContext): RuleError | null {
    if (rule === '') return null;
    this.description = null;
    const word = untilZero(rule).toLowerCase();
    switch (word) {
      case 'on':
      case 'off':
        this.isOn = word === 'on';
        return null;
      case 'skip-sanitize-payload':
      case 'sanitize-payload':
        this.sanitizing = word;
        return null;
      case 'nopass':
      case 'resetpass':
        this.needsNoPassword = word === 'nopass';
        this.passwords = [];
        return null;
      case 'clearselectors':
        this.selectors.length = 1;
        return null;
      case 'reset':
        this.reset(context);
        return null;
    }
    switch (rule[0]) {
      case '>':
      case '#':
        return this.addPassword(rule);
      case '<':
      case '!':
        return this.removePassword(rule);
    }
    if (rule[0] === '(' && rule.endsWith(')')) return this.addSelector(rule.slice(1, -1), context);
    return this.selectors[0].apply(rule, context);
  }

  private reset(context: RuleContext): void {
    this.isOn = false;
    this.needsNoPassword = false;
    this.sanitizing = 'sanitize-payload';
    this.passwords = [];
    this.selectors = [new Selector(context)];
  }

  private addPassword(rule: string): RuleError | null {
    const hash = rule[0] === '>' ? hashPassword(rule.slice(1)) : rule.slice(1);
    if (!isPasswordHash(hash)) return RuleError.BadHash;
    if (!this.passwords.includes(hash)) this.passwords.push(hash);
    this.needsNoPassword = false;
    return null;
  }

  private removePassword(rule: string): RuleError | null {
    const hash = rule[0] === '<' ? hashPassword(rule.slice(1)) : rule.slice(1);
    if (!isPasswordHash(hash)) return RuleError.BadHash;
    const at = this.passwords.indexOf(hash);
    if (at < 0) return RuleError.NoSuchPassword;
    this.passwords.splice(at, 1);
    return null;
  }

  private addSelector(rules: string, context: RuleContext): RuleError | null {
    const selector = new Selector(context);
    for (const rule of splitArguments(rules) ?? []) {
      const error = selector.apply(rule, context);
      if (error !== null) return error;
    }
    this.selectors.push(selector);
    return null;
  }

  /** The words of ACL GETUSER's flags. */
  get flags(): string[] {
    return [this.isOn ? 'on' : 'off', this.needsNoPassword ? 'nopass' : '', this.sanitizing].filter(
      (word) => word !== '',
    );
  }

  /** The rules that turn a new user into this one. */
  describe(): string {
    this.description ??= this.describeNow();
    return this.description;
  }

  private describeNow(): string {
    const [own, ...others] = this.selectors;
    return [
      ...this.flags,
      ...this.passwords.map((hash) => `#${hash}`),
      own.describe(),
      ...others.map((selector) => `(${selector.describe()})`),
    ].join(' ');
  }

  /** A copy, with another name and id if they are given. */
  copy(context: RuleContext, name = this.name, id = this.id): User {
    return User.of({ ...this.toSnapshot(), name, id }, context);
  }

  toSnapshot(): UserSnapshot {
    return {
      name: this.name,
      id: this.id,
      isOn: this.isOn,
      needsNoPassword: this.needsNoPassword,
      sanitizing: this.sanitizing,
      passwords: [...this.passwords],
      selectors: this.selectors.map((selector) => selector.toSnapshot()),
    };
  }

  static of(snapshot: UserSnapshot, context: RuleContext): User {
    const user = new User(snapshot.name, snapshot.id, context);
    user.isOn = snapshot.isOn;
    user.needsNoPassword = snapshot.needsNoPassword;
    user.sanitizing = snapshot.sanitizing;
    user.passwords = [...snapshot.passwords];
    user.selectors = snapshot.selectors.map((selector) => Selector.of(selector, context));
    return user;
  }
}

/** Whether a name can be that of a user. */
export function isUserName(name: string): boolean {
  return !hasSpaces(name);
}
