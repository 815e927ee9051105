/**
 * Preloaded into a server, this is a fault in the walks that save: while the file `lose-keys` exists in the working
 * directory, a walk over the keys passes over some of them; with `lose-elements` one over a set or a hash does so.
 */

import { existsSync } from 'node:fs';
import { KeyDictionary } from '../../src/keyspace/key-dictionary.js';
import { Dictionary } from '../../src/structures/dictionary.js';

const { readLine, visitLine } = Dictionary.prototype;

/** Forgets the last record of a line. */
function lose(dictionary: Dictionary): void {
  const mark = dictionary instanceof KeyDictionary ? 'lose-keys' : 'lose-elements';
  if (dictionary.scannedCount > 0 && existsSync(mark)) dictionary.scannedCount--;
}

Dictionary.prototype.readLine = function (root, position): boolean {
  const isFirst = position.prefix === 0 && position.line === 0;
  const hasMore = readLine.call(this, root, position);
  if (isFirst) lose(this);
  return hasMore;
};

Dictionary.prototype.visitLine = function (root, prefix): number {
  const next = visitLine.call(this, root, prefix);
  if (prefix === 0) lose(this);
  return next;
};
