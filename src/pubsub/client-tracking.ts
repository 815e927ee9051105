/** What CLIENT TRACKING keeps of a client, and which keys it may have cached. */

export const enum TrackingMode {
  /** All keys that it reads. */
  Default = 0,
  /** Those that it reads after CLIENT CACHING YES. */
  OptIn = 1,
  /** All but those that it reads after CLIENT CACHING NO. */
  OptOut = 2,
  /** Any that begin with one of its prefixes; what it reads does not matter. */
  Broadcast = 3,
}

export class ClientTracking {
  readonly mode: TrackingMode;
  /** The client is not told of keys that it has changed itself. */
  noLoop: boolean;
  /** The client that is told instead (REDIRECT): its id, 0 for none, and its row in the client table. */
  redirectId: number;
  redirectSlot: number;
  /** The client that was to be told instead has disconnected. */
  isRedirectBroken = false;
  /** Prefixes of a client in mode Broadcast. */
  readonly prefixes: Uint8Array[] = [];
  /** What they take, here and in the tables of all clients. */
  prefixBytes = 0;
  /** CLIENT CACHING was given for the next command, or for the transaction that it begins. */
  isCachingSet = false;

  constructor(mode: TrackingMode, noLoop: boolean, redirectId: number, redirectSlot: number) {
    this.mode = mode;
    this.noLoop = noLoop;
    this.redirectId = redirectId;
    this.redirectSlot = redirectSlot;
  }

  /** Whether what the client reads now has to be remembered. */
  get remembersReads(): boolean {
    switch (this.mode) {
      case TrackingMode.Broadcast:
        return false;
      case TrackingMode.OptIn:
        return this.isCachingSet;
      case TrackingMode.OptOut:
        return !this.isCachingSet;
      default:
        return true;
    }
  }
}
