/** The digest of a string that DIGEST shows and IFDEQ, IFDNE compare: XXH3, 64 bits, as 16 hex digits. */

import { createXXHash3 } from 'hash-wasm';

const hasher = await createXXHash3();

export function digestOf(value: Uint8Array): string {
  return hasher.init().update(value).digest('hex');
}
