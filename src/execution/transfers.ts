/** What MIGRATE asks of the network layer: commands sent to another server, and its replies. */

export interface TransferRequest {
  readonly host: string;
  readonly port: number;
  /** How long the transfer may make no progress, in any phase. */
  readonly timeoutMs: number;
  /** Commands whose replies must not be errors before `commands` are sent. */
  readonly preamble: Uint8Array<ArrayBuffer>;
  readonly preambleReplies: number;
  readonly commands: Uint8Array<ArrayBuffer>;
  readonly replies: number;
}

export const enum TransferFailure {
  None = 0,
  Connecting = 1,
  Writing = 2,
  Reading = 3,
}

export interface TransferResult {
  readonly failure: TransferFailure;
  /** The first error among the replies to the preamble, '' if none. */
  readonly preambleError: string;
  /** For each command that got a reply: the error, or '' for any other reply. */
  readonly replies: readonly string[];
}

/** A transfer under way; `result` is there when it is over. */
export interface Transfer {
  readonly id: number;
  result: TransferResult | null;
}

export interface Transfers {
  /** Begins a transfer. The worker is woken when it is over. The request's buffers go to another thread. */
  start(request: TransferRequest): Transfer;
  /** Takes over the results that have come. */
  collect(): void;
  /** Blocks the thread until a transfer is over. */
  wait(transfer: Transfer): void;
}
