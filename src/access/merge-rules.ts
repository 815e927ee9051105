/** A selector is one rule in parentheses. It may have been split at its spaces: here its parts come together again. */

export class UnmatchedParenthesis extends Error {
  /** Where the selector begins that does not end. */
  readonly index: number;

  constructor(index: number) {
    super('Unmatched parenthesis');
    this.index = index;
  }
}

/** Throws UnmatchedParenthesis. */
export function mergeRules(args: readonly string[]): string[] {
  const rules: string[] = [];
  let selector: string | null = null;
  let start = -1;
  args.forEach((arg, index) => {
    if (selector !== null) {
      selector += ` ${arg}`;
      if (!arg.endsWith(')')) return;
      rules.push(selector);
      selector = null;
    } else if (arg.startsWith('(') && !arg.endsWith(')')) {
      selector = arg;
      start = index;
    } else {
      rules.push(arg);
    }
  });
  if (selector !== null) throw new UnmatchedParenthesis(start);
  return rules;
}
