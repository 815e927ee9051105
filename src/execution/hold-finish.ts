/** What a worker does at the end of a hold because of what was done in it. */

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
    // A client that was served gets its reply before it is told of what that has changed.
    this.waitServer.deliver();
    this.notices.publish();
    // Serving under other locks ends other holds.
    this.waitServer.serveDeferred();
  }
}
