/** What commands need of the process around them, given by the worker that runs them. */

import type { Session } from './session.js';

export interface ServerServices {
  /** The password that clients must give, '' for none. */
  requirePass: string;
  /** `proto-max-bulk-len`: no string grows longer. */
  maxBulkLengthBytes: number;
  readonly workerIndex: number;
  /** The sessions of this worker's connections, by client id. */
  readonly sessions: Map<number, Session>;
  /** `enable-debug-command` and where the client is. */
  isDebugAllowed(session: Session): boolean;
  /** Switches active expiry, in all workers. */
  setActiveExpire(isActive: boolean): void;
  log(line: string): void;
  /** Runs a session's queue as one transaction (executor.ts). */
  executeTransaction(session: Session, isStillValid: () => boolean): void;
}
