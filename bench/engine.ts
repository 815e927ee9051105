/** `npm run bench:engine`: nanoseconds per operation of the engine's parts. */

import { protocolRows } from './engine-protocol.js';

for (const { name, nanosecondsPerOperation } of protocolRows()) {
  process.stdout.write(`${name.padEnd(40)} ${nanosecondsPerOperation.toFixed(1).padStart(8)} ns\n`);
}
