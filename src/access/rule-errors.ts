/** What can be wrong with a rule, in Redis's words. */

export const RuleError = {
  Syntax: 'Syntax error',
  Unknown: 'Unknown command or category name in ACL',
  PatternAfterAllKeys:
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try " +
    "'resetkeys' to start with an empty list of patterns",
  PatternAfterAllChannels:
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try " +
    "'resetchannels' to start with an empty list of channels",
  NoSuchPassword: 'The password you are trying to remove from the user does not exist',
  BadHash:
    'The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters',
  Duplicate: 'Duplicate user found. A user can only be defined once in config files',
  FirstArgumentOfSubcommand: 'Allowing first-arg of a subcommand is not supported',
  DatabaseOutOfRange: 'The provided database ID is out of range',
} as const;

export type RuleError = (typeof RuleError)[keyof typeof RuleError];

/** Whether a user's name, or a pattern, has something in it that would be read as the end of a rule. */
export function hasSpaces(text: string): boolean {
  return /[\0\t-\r ]/.test(text);
}

/** A rule's text up to its first zero byte: what the words of rules are compared with. */
export function untilZero(text: string): string {
  const zero = text.indexOf('\0');
  return zero < 0 ? text : text.slice(0, zero);
}
