/** What a worker does at the end of a lock hold: serves waiting clients and publishes what was noted. */

import type { Gate, HoldEnd } from '../keyspace/gate.js';
import type { Notices } from './notices.js';
import type { WaitServer } from './wait-server.js';

export class HoldFinish implements HoldEnd {
  private readonly gate: Gate;
  private readonly waitServer: WaitServer;
  private readonly notices: Notices;

  constructor(gate: Gate, waitServer: WaitServer, notices: Notices) {
    this.gate = gate;
    this.waitServer = waitServer;
    this.notices = notices;
  }

  serve(): void {
    this.waitServer.serve();
  }

  afterRelease(): void {
    this.gate.hasNotices = false;
    // A served client gets its reply before the messages about what serving it has changed.
    this.waitServer.deliver();
    this.notices.publish();
    // Last, since it takes other locks, and the end of those holds calls this method again.
    this.waitServer.serveDeferred();
  }
}
