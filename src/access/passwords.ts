/** Passwords are kept and compared as the hexadecimal digits of their SHA-256. */

import { createHash, timingSafeEqual } from 'node:crypto';

/** @param password a byte string */
export function hashPassword(password: string): string {
  return createHash('sha256').update(password, 'latin1').digest('hex');
}

/** Whether a text is the hash of some password. */
export function isPasswordHash(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** Whether a password has one of these hashes. The time does not depend on its bytes or on which hash matches. */
export function hasPassword(hashes: readonly string[], password: string): boolean {
  const given = Buffer.from(hashPassword(password), 'latin1');
  let isOne = false;
  for (const hash of hashes) if (timingSafeEqual(given, Buffer.from(hash, 'latin1'))) isOne = true;
  return isOne;
}
