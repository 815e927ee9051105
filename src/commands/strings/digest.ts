/** The digest of a string that DIGEST shows and IFDEQ, IFDNE compare: XXH3, 64 bits, as 16 hex digits. */

import { createRequire } from 'node:module';

type XxHash3 = Pick<typeof import('hash-wasm'), 'createXXHash3'>;

// The package's own entry has all of its hashes and takes each thread 100 ms to load.
const { createXXHash3 } = createRequire(import.meta.url)('hash-wasm/dist/xxhash3.umd.min.js') as XxHash3;

const hasher = await createXXHash3();

export function digestOf(value: Uint8Array): string {
  return hasher.init().update(value).digest('hex');
}
