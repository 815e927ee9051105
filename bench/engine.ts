/** `npm run bench:engine`: nanoseconds per operation of the engine's parts. */

import { commandRows } from './engine-commands.js';
import { listRows } from './engine-lists.js';
import { protocolRows } from './engine-protocol.js';
import { sortedSetRows } from './engine-sorted-sets.js';

const rows = [...protocolRows(), ...listRows(), ...sortedSetRows(), ...commandRows()];
for (const { name, nanosecondsPerOperation } of rows) {
  process.stdout.write(`${name.padEnd(48)} ${nanosecondsPerOperation.toFixed(1).padStart(8)} ns\n`);
}
