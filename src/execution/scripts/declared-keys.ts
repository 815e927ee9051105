/**
 * Decides whether all keys that a script's commands work on are among those that its caller declares, whatever the data
 * and the arguments are. Such a script never needs other locks than those that it begins with, so it can run in
 * parallel with all others (memory/lock-order.ts).
 *
 * Only the tokens of the source are examined, not what they do: a command has to be called by its name in quotes, and
 * each of its keys has to be `KEYS[…]`, or a variable that is never anything else. In all other cases the answer is no.
 */

import { KeyPositions } from '../key-positions.js';
import { CommandRequest } from '../request.js';
import { type Command, type CommandTable, CommandTrait, KeyRule } from '../table/command-table.js';

const enum TokenKind {
  Name,
  Text,
  Number,
  Symbol,
}

interface Token {
  readonly kind: TokenKind;
  /** Of a text: what is between its quotes, if it has no escapes; else undefined. */
  readonly text: string | undefined;
}

/** With these a script could get at a library or a variable under another name. */
const SUSPICIOUS = new Set([
  '_G',
  'load',
  'loadstring',
  'dofile',
  'require',
  'getfenv',
  'setfenv',
  'setmetatable',
  'getmetatable',
  'rawset',
  'rawget',
  'debug',
  'module',
  'goto',
]);
const LIBRARIES = new Set(['redis', 'server']);
const CALLS = new Set(['call', 'pcall']);
/** After one of these an expression has ended. */
const STATEMENT_WORDS = new Set([
  'and',
  'break',
  'do',
  'else',
  'elseif',
  'end',
  'false',
  'for',
  'function',
  'if',
  'in',
  'local',
  'nil',
  'not',
  'or',
  'repeat',
  'return',
  'then',
  'true',
  'until',
  'while',
]);
const OPERATOR_WORDS = new Set(['and', 'or']);
const COMMANDS_WHOLE_MAX = 200_000;

const TOKEN =
  /\s+|--\[(=*)\[[\s\S]*?\]\1\]|--[^\n]*|[A-Za-z_]\w*|(?:0[xX][\da-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'|\[(=*)\[[\s\S]*?\]\2\]|\.\.\.|\.\.|==|~=|<=|>=|[-+*/%^#<>=(){}[\];:,.]/y;

/** The tokens of a source; null if a part of it is no token. */
function tokensOf(source: string): Token[] | null {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const match = TOKEN.exec(source);
    if (match === null) return null;
    const [text] = match;
    if (/^\s/.test(text) || text.startsWith('--')) continue;
    const first = text[0];
    if (/[A-Za-z_]/.test(first)) tokens.push({ kind: TokenKind.Name, text });
    else if (first === '"' || first === "'") {
      const inner = text.slice(1, -1);
      tokens.push({ kind: TokenKind.Text, text: inner.includes('\\') ? undefined : inner });
    } else if (/^\[=*\[/.test(text)) tokens.push({ kind: TokenKind.Text, text: undefined });
    else if (/[\d]/.test(first) || (first === '.' && text.length > 1 && /\d/.test(text[1])))
      tokens.push({ kind: TokenKind.Number, text });
    else tokens.push({ kind: TokenKind.Symbol, text });
  }
  return tokens;
}

/** What an argument of a command is. */
const enum ArgumentKind {
  /** A declared key. */
  Key,
  /** A literal text or number. */
  Literal,
  /** All declared keys, or some of them, from one `unpack`. */
  AllKeys,
  Other,
}

interface Argument {
  readonly kind: ArgumentKind;
  readonly text: string;
}

/** Placeholders for arguments in the request that is made up for a call. */
const KEY_TEXT = '\u0001key';
const OTHER_TEXT = '\u0001other';

/** Whether all keys of a script are declared. */
export function usesOnlyDeclaredKeys(source: string, table: CommandTable): boolean {
  if (source.length > COMMANDS_WHOLE_MAX) return false;
  const tokens = tokensOf(source);
  return tokens !== null && new SourceReading(tokens, table).isDeclared();
}

class SourceReading {
  private readonly tokens: readonly Token[];
  private readonly table: CommandTable;
  private readonly keyPositions = new KeyPositions();
  /** Variables that are a declared key. */
  private readonly keyNames = new Set<string>();
  /** Variables that are redis.call or redis.pcall. */
  private readonly callNames = new Set<string>();

  constructor(tokens: readonly Token[], table: CommandTable) {
    this.tokens = tokens;
    this.table = table;
  }

  private is(at: number, text: string): boolean {
    const token = this.tokens[at];
    return token !== undefined && token.text === text && token.kind !== TokenKind.Text;
  }

  private nameAt(at: number): string {
    const token = this.tokens[at];
    return token !== undefined && token.kind === TokenKind.Name ? (token.text as string) : '';
  }

  isDeclared(): boolean {
    const { tokens } = this;
    for (let at = 0; at < tokens.length; at++) {
      if (SUSPICIOUS.has(this.nameAt(at)) && !this.is(at - 1, '.')) return false;
    }
    if (['unpack', 'ipairs', 'pairs'].some((name) => this.bindings(name) > 0)) return false;
    this.findVariables();
    for (let at = 0; at < tokens.length; at++) {
      const name = this.nameAt(at);
      if (name === '' || this.is(at - 1, '.') || this.is(at - 1, ':')) continue;
      if (LIBRARIES.has(name)) {
        if (!this.isGoodUse(at)) return false;
      } else if (this.callNames.has(name)) {
        // In its declaration, `=` follows the name.
        if (!this.is(at + 1, '=') && !(this.is(at + 1, '(') && this.isGoodCall(at + 1))) return false;
      } else if (name === 'KEYS' && !this.isGoodKeys(at)) {
        return false;
      }
    }
    return true;
  }

  /** Finds `local name = KEYS[…]`, `local name = redis.call` and loops over KEYS. */
  private findVariables(): void {
    const { tokens } = this;
    const keys = new Set<string>();
    const calls = new Set<string>();
    for (let at = 0; at < tokens.length; at++) {
      if (this.is(at, 'local')) this.readLocal(at + 1, keys, calls);
      if (this.is(at, 'for') && this.is(at + 2, ',') && this.is(at + 4, 'in') && this.isOverKeys(at + 5)) {
        keys.add(this.nameAt(at + 3));
      }
    }
    // A variable that is declared or assigned anywhere else may have another value there.
    for (const name of keys) if (this.bindings(name) === 1) this.keyNames.add(name);
    for (const name of calls) if (this.bindings(name) === 1) this.callNames.add(name);
  }

  private isOverKeys(at: number): boolean {
    return (
      (this.is(at, 'ipairs') || this.is(at, 'pairs')) &&
      this.is(at + 1, '(') &&
      this.is(at + 2, 'KEYS') &&
      this.is(at + 3, ')') &&
      this.is(at + 4, 'do')
    );
  }

  /** Reads `name, name = value, value` behind `local`. */
  private readLocal(start: number, keys: Set<string>, calls: Set<string>): void {
    const names: string[] = [];
    let at = start;
    for (; this.nameAt(at) !== ''; at += 2) {
      names.push(this.nameAt(at));
      if (!this.is(at + 1, ',')) {
        at++;
        break;
      }
    }
    if (!this.is(at, '=')) return;
    at++;
    for (const name of names) {
      const key = this.keyEnd(at);
      if (key > 0 && this.endsExpression(key)) {
        keys.add(name);
        at = key;
      } else if (this.isCallName(at) && this.endsExpression(at + 3)) {
        calls.add(name);
        at += 3;
      } else {
        return;
      }
      if (!this.is(at, ',')) return;
      at++;
    }
  }

  private isCallName(at: number): boolean {
    return LIBRARIES.has(this.nameAt(at)) && this.is(at + 1, '.') && CALLS.has(this.nameAt(at + 2));
  }

  /** The position behind `KEYS[…]`, 0 if there is something else. */
  private keyEnd(at: number): number {
    if (!this.is(at, 'KEYS') || !this.is(at + 1, '[')) return 0;
    const end = this.closing(at + 1);
    return end < 0 ? 0 : end + 1;
  }

  /** Whether the expression ends before this position: no operator, call or index continues it. */
  private endsExpression(at: number): boolean {
    const token = this.tokens[at];
    if (token === undefined || this.is(at, ',') || this.is(at, ';')) return true;
    if (token.kind !== TokenKind.Name) return false;
    return !OPERATOR_WORDS.has(token.text as string);
  }

  /** How often a name is declared or given a value. */
  private bindings(name: string): number {
    const { tokens } = this;
    let count = 0;
    let isInNames = false;
    let isInParameters = false;
    for (let at = 0; at < tokens.length; at++) {
      if (this.is(at, 'local') || this.is(at, 'for')) isInNames = !this.is(at + 1, 'function');
      else if (this.is(at, 'function')) {
        isInParameters = true;
        isInNames = false;
      }
      const isName = this.nameAt(at) === name && !this.is(at - 1, '.') && !this.is(at - 1, ':');
      if (isInParameters) {
        if (isName) count++;
        if (this.is(at, ')')) isInParameters = false;
        continue;
      }
      if (isName) {
        if (isInNames) count++;
        else if (this.is(at + 1, '=') || this.isAssigned(at)) count++;
      }
      if (isInNames && !this.is(at, 'local') && !this.is(at, 'for') && !this.is(at, ',') && this.isNoName(at))
        isInNames = false;
    }
    return count;
  }

  private isNoName(at: number): boolean {
    const name = this.nameAt(at);
    return name === '' || STATEMENT_WORDS.has(name);
  }

  /** Whether a name is one of several on the left of an assignment: `a, b = …`. May be true for other code as well. */
  private isAssigned(at: number): boolean {
    let end = at + 1;
    while (this.is(end, ',') && this.nameAt(end + 1) !== '') end += 2;
    return end > at + 1 && this.is(end, '=');
  }

  /** The position of the bracket that closes the one at `at`, -1 if there is none. */
  private closing(at: number): number {
    let depth = 0;
    for (let end = at; end < this.tokens.length; end++) {
      if (this.tokens[end].kind !== TokenKind.Symbol) continue;
      if ('([{'.includes(this.tokens[end].text as string)) depth++;
      else if (')]}'.includes(this.tokens[end].text as string) && --depth === 0) return end;
    }
    return -1;
  }

  /** KEYS may be indexed, counted, unpacked and iterated over. */
  private isGoodKeys(at: number): boolean {
    const end = this.keyEnd(at);
    if (end > 0) {
      // Not given a value, not called, and nothing that a method could change.
      return !this.is(end, '=') && !(this.is(end, ',') && this.isTargetList(end));
    }
    if (this.is(at - 1, '#')) return !this.is(at + 1, '[') && !this.is(at + 1, '.');
    const user = this.nameAt(at - 2);
    if (!this.is(at - 1, '(')) return false;
    if (user === 'unpack') return this.is(at + 1, ')') || this.is(at + 1, ',');
    return (user === 'ipairs' || user === 'pairs') && this.is(at + 1, ')');
  }

  /** Whether a list of expressions, whose first comma is at `at`, is assigned to: looks for `=` at its end. */
  private isTargetList(at: number): boolean {
    let depth = 0;
    for (let end = at; end < this.tokens.length; end++) {
      const token = this.tokens[end];
      if (token.kind === TokenKind.Symbol) {
        if ('([{'.includes(token.text as string)) depth++;
        else if (')]}'.includes(token.text as string)) depth--;
        else if (token.text === '=' && depth === 0) return true;
        if (depth < 0) return false;
      } else if (token.kind === TokenKind.Name && STATEMENT_WORDS.has(token.text as string)) {
        return false;
      }
    }
    return false;
  }

  /** Whether a library is used for a function that calls no command, or for a call on declared keys only. */
  private isGoodUse(at: number): boolean {
    if (!this.is(at + 1, '.')) return false;
    const name = this.nameAt(at + 2);
    if (name === '') return false;
    if (!CALLS.has(name)) return !this.is(at + 3, '=');
    if (this.is(at + 3, '(')) return this.isGoodCall(at + 3);
    // `local call = redis.call`, if that name is used for nothing else.
    for (let start = at - 1; start >= 0; start--) {
      if (this.is(start, 'local')) return this.isAmongCalls(start, at);
      if (!this.is(start, '=') && !this.is(start, ',') && !this.is(start, '.') && this.nameAt(start) === '')
        return false;
    }
    return false;
  }

  private isAmongCalls(local: number, at: number): boolean {
    const keys = new Set<string>();
    const calls = new Set<string>();
    this.readLocal(local + 1, keys, calls);
    for (let next = local + 1; next < at; next++) {
      const name = this.nameAt(next);
      if (calls.has(name) && !this.callNames.has(name)) return false;
    }
    return calls.size > 0;
  }

  /** Whether a command that is called, with arguments in the brackets at `open`, works on declared keys only. */
  private isGoodCall(open: number): boolean {
    const args = this.argumentsOf(open);
    if (args === null || args.length === 0 || args[0].kind !== ArgumentKind.Literal) return false;
    const { table } = this;
    const name = Buffer.from(args[0].text, 'latin1');
    let command = table.lookup(name, 0, name.length);
    // One that does not exist changes nothing; if it comes to exist, the source is read again.
    if (command === null) return true;
    if (command.subcommands !== null && args.length > 1) {
      if (args[1].kind !== ArgumentKind.Literal) return false;
      const subname = Buffer.from(args[1].text, 'latin1');
      command = table.lookupSubcommand(command, subname, 0, subname.length);
      if (command === null) return true;
    }
    return this.worksOnKeys(command, args);
  }

  private worksOnKeys(command: Command, args: readonly Argument[]): boolean {
    const locksAll = CommandTrait.AllShards | CommandTrait.LocksAll | CommandTrait.RunsScript;
    if ((command.traits & locksAll) !== 0) return false;
    if (command.keySpecs.length === 0) return true;
    if (
      command.singleKey > 0 &&
      command.keyRule !== KeyRule.Sort &&
      command.keyRule !== KeyRule.SortReadOnly
    ) {
      const key = args[command.singleKey];
      // With fewer arguments the command is refused, unless the last one expands to several.
      if (key === undefined) return args[args.length - 1].kind === ArgumentKind.Literal;
      return (
        key.kind === ArgumentKind.Key ||
        (key.kind === ArgumentKind.AllKeys && command.singleKey === args.length - 1)
      );
    }
    const hasPlainSpecs =
      command.keyRule === KeyRule.Specs &&
      command.keySpecs.every(({ begin, find }) => begin.kind === 'index' && find.kind === 'range');
    for (const [index, { kind }] of args.entries()) {
      if (kind === ArgumentKind.Other && (!hasPlainSpecs || index === args.length - 1)) {
        // The last argument may expand to several values.
        if (!hasPlainSpecs || !this.isOneValue(args[index])) return false;
      }
      if (kind === ArgumentKind.AllKeys && !command.takesOnlyKeys) return false;
    }
    const texts = args.map(({ kind, text }) =>
      kind === ArgumentKind.Literal ? text : kind === ArgumentKind.Other ? OTHER_TEXT : KEY_TEXT,
    );
    const request = CommandRequest.of(texts.map((text) => Buffer.from(text, 'latin1')));
    const { keyPositions } = this;
    if (!keyPositions.collect(command, request) || keyPositions.reachesOtherKeys) return false;
    for (let index = 0; index < keyPositions.count; index++) {
      if (texts[keyPositions.indices[index]] !== KEY_TEXT) return false;
    }
    return true;
  }

  /** Whether the last argument can't expand to several values, since it is `ARGV[…]`. */
  private isOneValue({ text }: Argument): boolean {
    return text === 'ARGV[]';
  }

  /** The arguments in the brackets at `open`; null if there is no end. */
  private argumentsOf(open: number): Argument[] | null {
    const end = this.closing(open);
    if (end < 0) return null;
    const args: Argument[] = [];
    let start = open + 1;
    let depth = 0;
    for (let at = start; at <= end; at++) {
      const token = this.tokens[at];
      if (token.kind !== TokenKind.Symbol) {
        // A function within the arguments: its commas are not theirs.
        if (this.is(at, 'function')) return null;
        continue;
      }
      if ('([{'.includes(token.text as string)) depth++;
      else if (')]}'.includes(token.text as string) && at < end) depth--;
      else if (depth === 0 && (token.text === ',' || at === end)) {
        if (at > start) args.push(this.argumentAt(start, at));
        start = at + 1;
      }
    }
    return args;
  }

  private argumentAt(start: number, end: number): Argument {
    const { tokens } = this;
    const first = tokens[start];
    if (end === start + 1) {
      if (first.kind === TokenKind.Text && first.text !== undefined)
        return { kind: ArgumentKind.Literal, text: first.text };
      if (first.kind === TokenKind.Number && /^\d+$/.test(first.text as string))
        return { kind: ArgumentKind.Literal, text: first.text as string };
      if (this.keyNames.has(this.nameAt(start))) return { kind: ArgumentKind.Key, text: '' };
    }
    if (this.keyEnd(start) === end) return { kind: ArgumentKind.Key, text: '' };
    if (
      this.is(start, 'unpack') &&
      this.is(start + 1, '(') &&
      this.is(start + 2, 'KEYS') &&
      this.closing(start + 1) === end - 1
    )
      return { kind: ArgumentKind.AllKeys, text: '' };
    if (this.is(start, 'ARGV') && this.is(start + 1, '[') && this.closing(start + 1) === end - 1)
      return { kind: ArgumentKind.Other, text: 'ARGV[]' };
    return { kind: ArgumentKind.Other, text: '' };
  }
}
