/** All families, by the names that `--families` takes. A new family of commands is added here. */

import type { Family } from '../family.js';
import { bitmaps } from './bitmaps.js';
import { connection } from './connection.js';
import { dumps } from './dumps.js';
import { geo } from './geo.js';
import { hashes } from './hashes.js';
import { hyperLogLogs } from './hyperloglog.js';
import { keys } from './keys.js';
import { lists } from './lists.js';
import { protocol } from './protocol.js';
import { scripting } from './scripting.js';
import { server } from './server.js';
import { sets } from './sets.js';
import { sort } from './sort.js';
import { sortedSets } from './sorted-sets.js';
import { streams } from './streams.js';
import { strings } from './strings.js';
import { transactions } from './transactions.js';

export const families: readonly Family[] = [
  strings,
  bitmaps,
  hyperLogLogs,
  keys,
  hashes,
  lists,
  sort,
  sets,
  sortedSets,
  geo,
  streams,
  dumps,
  transactions,
  scripting,
  connection,
  server,
  protocol,
];
