/** `npm run bench:engine`: nanoseconds per operation of the engine's parts. */

import { listRows } from './engine-lists.js';
import { protocolRows } from './engine-protocol.js';
import { sortedSetRows } from './engine-sorted-sets.js';

for (const { name, nanosecondsPerOperation } of [...protocolRows(), ...listRows(), ...sortedSetRows()]) {
  process.stdout.write(`${name.padEnd(48)} ${nanosecondsPerOperation.toFixed(1).padStart(8)} ns\n`);
}
