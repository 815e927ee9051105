/** The quoting of redis.conf and of inline commands: splitting a line into arguments, and writing one. */

const isSpace = (character: string): boolean =>
  character === ' ' || (character >= '\t' && character <= '\r') || character === '\0';

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' };

/**
 * Splits a line at white space. In "double quotes" \n, \r, \t, \b, \a and \xff stand for bytes and any
 * other escaped character for itself; in 'single quotes' only \' is special.
 * @returns null if a quote is not closed, or is not followed by white space
 */
export function splitArguments(line: string): string[] | null {
  const args: string[] = [];
  let at = 0;
  for (;;) {
    while (at < line.length && isSpace(line[at])) at++;
    if (at >= line.length) return args;
    let arg = '';
    let quote = '';
    for (; ; at++) {
      const character = line[at];
      if (quote === '') {
        if (at >= line.length || isSpace(character)) break;
        if (character === '"' || character === "'") quote = character;
        else arg += character;
      } else if (at >= line.length) {
        return null;
      } else if (character === quote) {
        if (at + 1 < line.length && !isSpace(line[at + 1])) return null;
        at++;
        break;
      } else if (character !== '\\') {
        arg += character;
      } else if (quote === "'") {
        if (line[at + 1] === "'") at++;
        arg += line[at];
      } else if (/^x[0-9a-f]{2}$/i.test(line.slice(at + 1, at + 4))) {
        arg += String.fromCharCode(Number.parseInt(line.slice(at + 2, at + 4), 16));
        at += 3;
      } else if (at + 1 < line.length) {
        at++;
        arg += ESCAPES[line[at]] ?? line[at];
      } else {
        arg += character;
      }
    }
    args.push(arg);
  }
}

const QUOTED: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '"': '\\"',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
  '\x07': '\\a',
};

/** Writes a byte string in double quotes, so that {@link splitArguments} reads it back. */
export function quoteArgument(text: string): string {
  let quoted = '"';
  for (const character of text) {
    const printable = character >= ' ' && character <= '~';
    quoted +=
      QUOTED[character] ??
      (printable ? character : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
  }
  return `${quoted}"`;
}

/** A byte string from text, and back. */
export const toByteString = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
export const fromByteString = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');
