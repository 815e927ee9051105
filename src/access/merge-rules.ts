/** Joins the parts of selectors: a selector is one rule in parentheses, which may have been split at its spaces. */

export class UnmatchedParenthesis extends Error {
  /** Index of the argument that begins the selector without an end. */
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
