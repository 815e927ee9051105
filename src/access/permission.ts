/** Checks parts of a command against a selector. Makes no garbage: it runs for each command of restricted users. */

import type { NamePattern } from './name-pattern.js';
import { KeyPermission, type Selector } from './selector.js';
import type { User } from './user.js';

/** Whether one of a selector's patterns grants `permission` (KeyPermission bits) for a key. */
export function allowsKey(
  selector: Selector,
  permission: number,
  bytes: Uint8Array,
  offset: number,
  lengthBytes: number,
): boolean {
  if (selector.allKeys) return true;
  const { keys } = selector;
  for (let index = 0; index < keys.length; index++) {
    const known = keys[index];
    if ((known.permission & permission) !== permission) continue;
    if (known.pattern.matches(bytes, offset, lengthBytes)) return true;
  }
  return false;
}

/** Whether a selector allows reading every key. */
export function readsAllKeys({ allKeys, keys }: Selector): boolean {
  return (
    allKeys ||
    keys.some(({ permission, pattern }) => (permission & KeyPermission.Read) !== 0 && pattern.text === '*')
  );
}

/** Whether one of some patterns allows a channel. A pattern to subscribe to has to be allowed word for word. */
export function allowsChannel(
  patterns: readonly NamePattern[],
  isPattern: boolean,
  bytes: Uint8Array,
  offset: number,
  lengthBytes: number,
): boolean {
  for (let index = 0; index < patterns.length; index++) {
    const pattern = patterns[index];
    if (isPattern ? pattern.is(bytes, offset, lengthBytes) : pattern.matches(bytes, offset, lengthBytes))
      return true;
  }
  return false;
}

/**
 * The channel patterns to which clients may stay subscribed when their user changes from `before` to `after`; null if
 * no subscription has to end.
 */
export function channelsLeft(before: User, after: User): readonly NamePattern[] | null {
  if (after.selectors.some(({ allChannels }) => allChannels)) return null;
  const left = after.selectors.flatMap(({ channels }) => channels);
  const isSuperset = before.selectors.every(
    ({ allChannels, channels }) =>
      !allChannels && channels.every(({ text }) => left.some((pattern) => pattern.text === text)),
  );
  return isSuperset ? null : left;
}
