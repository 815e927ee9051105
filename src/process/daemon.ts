/** Entry point of a server that runs as a daemon: supervision.ts starts it and sends the configuration. */

import { createRequire } from 'node:module';
import { Config, type ConfigSnapshot } from '../config/config.js';
import { ignoreSignals } from './signals.js';
import type { DaemonReport } from './supervision.js';

function report(failure: string, then: () => void): void {
  if (process.connected) process.send?.({ failure } satisfies DaemonReport, then);
  else then();
}

ignoreSignals();

/** With `require`, so that the server stays a bundle of its own. */
const { startServer } = createRequire(import.meta.url)('./server.js') as typeof import('./server.js');

process.once('message', (snapshot: ConfigSnapshot) => {
  startServer(new Config(snapshot), () => report('', () => {})).catch((error: unknown) => {
    report(error instanceof Error ? error.message : String(error), () => process.exit(1));
  });
});
