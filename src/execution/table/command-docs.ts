/**
 * The documentation of commands, read from the compact rows of command-doc-rows.ts. The rows are indexed
 * when a document is first asked for, and each is read on its own: a server that nobody asks does nothing.
 */

import { COMMAND_DOC_ROWS } from './command-doc-rows.js';

export interface ArgumentDoc {
  readonly name: string;
  /** string, integer, double, key, pattern, unix-time, pure-token, oneof, block */
  readonly type: string;
  /** Number of the key spec that describes the argument, or -1. */
  readonly keySpecIndex: number;
  readonly token: string | null;
  readonly since: string | null;
  readonly deprecatedSince: string | null;
  /** optional, multiple, multiple_token */
  readonly flags: readonly string[];
  /** Those of a oneof or block. */
  readonly arguments: readonly ArgumentDoc[];
}

export interface VersionNote {
  readonly version: string;
  readonly text: string;
}

export interface CommandDoc {
  readonly summary: string;
  readonly complexity: string | null;
  /** Only the system itself uses the command. */
  readonly isSystemCommand: boolean;
  /** Since when another command should be used, and which. */
  readonly replacement: VersionNote | null;
  readonly history: readonly VersionNote[];
  readonly arguments: readonly ArgumentDoc[];
}

const HELP_DOC: CommandDoc = {
  summary: 'Explains the subcommands',
  complexity: 'O(1)',
  isSystemCommand: false,
  replacement: null,
  history: [],
  arguments: [],
};

const SYSTEM_COMMAND_MARK = ' !syscmd';

/** Rows by the command's full name. */
let rows: ReadonlyMap<string, string> | null = null;

function indexRows(): ReadonlyMap<string, string> {
  const index = new Map<string, string>();
  for (const row of COMMAND_DOC_ROWS.trim().split(/\n(?=\S)/)) index.set(/^\S+/.exec(row)![0], row);
  return index;
}

/**
 * The document of a command, or null if there is none.
 * @param fullName in lower case, as "client|list"
 */
export function commandDoc(fullName: string): CommandDoc | null {
  if (fullName.endsWith('|help')) return HELP_DOC;
  rows ??= indexRows();
  const row = rows.get(fullName);
  return row === undefined ? null : parseRow(row);
}

function parseRow(row: string): CommandDoc {
  const [first, summary, ...lines] = row.split('\n  ');
  const isSystemCommand = first.endsWith(SYSTEM_COMMAND_MARK);
  const end = isSystemCommand ? first.length - SYSTEM_COMMAND_MARK.length : first.length;
  const nameEnd = /^\S+/.exec(first)![0].length;
  let complexity: string | null = 'O(1)';
  let replacement: VersionNote | null = null;
  const history: VersionNote[] = [];
  for (const line of lines) {
    if (line.startsWith('+ ')) history.push(versionNote(line));
    else if (line.startsWith('> ')) replacement = versionNote(line);
    else if (line === '=') complexity = 'That of the subcommand';
    else complexity = line === '-' ? null : line;
  }
  const parser = new ArgumentParser(first.slice(nameEnd, end).trim());
  return {
    summary,
    complexity,
    isSystemCommand,
    replacement,
    history,
    arguments: parser.arguments(),
  };
}

function versionNote(line: string): VersionNote {
  const [, version, text] = /^. (\S+) (.*)$/.exec(line)!;
  return { version, text: text.replaceAll("'", '`') };
}

/** A bare word, or one in quotes. */
const WORD = /"[^"]*"|[A-Za-z0-9_-]+/y;
const VERSION = /[\d.]+/y;

class ArgumentParser {
  private at = 0;

  constructor(private readonly text: string) {}

  arguments(): ArgumentDoc[] {
    return this.text === '' ? [] : this.list(' ', '');
  }

  /** Arguments with this separator, up to and with the closing character or, if it is empty, the end. */
  private list(separator: string, close: string): ArgumentDoc[] {
    const list = [this.argument()];
    while (this.accept(separator)) list.push(this.argument());
    if (close === '' ? this.at !== this.text.length : !this.accept(close)) this.fail();
    return list;
  }

  private argument(): ArgumentDoc {
    const word = this.match(WORD);
    let name = unquoted(word);
    let type = 'string';
    let token: string | null = null;
    let keySpecIndex = -1;
    let inner: ArgumentDoc[] = [];
    if (this.accept('=')) {
      token = name;
      name = unquoted(this.match(WORD));
    } else if (this.accept('/')) {
      token = name;
      name = unquoted(this.match(WORD));
      type = 'pure-token';
    } else if (/^[A-Z]/.test(word)) {
      token = name;
      name = name.toLowerCase();
      type = 'pure-token';
    }
    if (this.accept(':')) {
      type = this.match(WORD);
      if (type === 'time') type = 'unix-time';
    } else if (this.text[this.at] === '@') {
      type = 'key';
    } else if (this.accept('(')) {
      type = 'oneof';
      inner = this.list('|', ')');
    } else if (this.accept('{')) {
      type = 'block';
      inner = this.list(' ', '}');
    }
    if (this.accept('@')) keySpecIndex = Number(this.match(WORD));
    const flags: string[] = [];
    if (this.accept('?')) flags.push('optional');
    if (this.accept('*')) flags.push('multiple');
    if (this.accept('+')) flags.push('multiple_token');
    const since = this.accept('^') ? this.match(VERSION) : null;
    const deprecatedSince = this.accept('~') ? this.match(VERSION) : null;
    return { name, type, keySpecIndex, token, since, deprecatedSince, flags, arguments: inner };
  }

  private accept(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private match(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) return this.fail();
    this.at = pattern.lastIndex;
    return found[0];
  }

  private fail(): never {
    throw new Error(`arguments cannot be read at character ${this.at}: ${this.text}`);
  }
}

function unquoted(word: string): string {
  return word.startsWith('"') ? word.slice(1, -1) : word;
}
