/** The digest of a string that DIGEST shows and IFDEQ, IFDNE compare: XXH3, 64 bits, as 16 hex digits. */

import { createRequire } from 'node:module';
import type { IHasher } from 'hash-wasm';

type XxHash3 = Pick<typeof import('hash-wasm'), 'createXXHash3'>;

// The package's own entry has all of its hashes and takes each thread 100 ms to load.
const { createXXHash3 } = createRequire(import.meta.url)('hash-wasm/dist/xxhash3.umd.min.js') as XxHash3;

let hasher: IHasher | null = null;

/** Settles once `digestOf` can be called. (No top-level await: a thread loads its code by `require`.) */
export const digestReady: Promise<void> = createXXHash3().then((created) => {
  hasher = created;
});

/** Must not be called before `digestReady` has settled. */
export function digestOf(value: Uint8Array): string {
  if (hasher === null) throw new Error('XXH3 is not compiled yet');
  return hasher.init().update(value).digest('hex');
}
