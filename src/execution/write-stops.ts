/** Tells when writes are refused because data can't be written to the disk. */

import { journalFails, WRITES_STOPPED } from './errors.js';
import type { ServerServices } from './services.js';

/** Why writes are refused: snapshots fail (`stop-writes-on-bgsave-error`), or the append-only file does. '' if not. */
export function whyWritesAreStopped(services: ServerServices): string {
  const { config, state } = services;
  const { persistence, appendOnly } = state;
  if (persistence.hasFailed && config.stopWritesOnSaveError && config.savePoints.length > 0) {
    return WRITES_STOPPED;
  }
  return appendOnly.writeError === 0 ? '' : journalFails(appendOnly.writeError);
}
