/**
 * Who writes the stream to the sockets of replicas. As a rule the replication thread does. Once it has nothing left to
 * write, it allows workers to: a worker whose client waits for replicas (WAIT) need not wake it then. What a worker has
 * written stays in the journal's ring until the replication thread takes it, too, for its backlog.
 *
 *   int32 words   0 the right to write: see Right   1 replicas
 *                 8... for each replica: descriptor of its socket, its row in the client table,
 *                      bytes that workers have written to it since the replication thread has allowed it
 */

const enum Word {
  Right = 0,
  Replicas = 1,
  Rows = 8,
}

const enum Right {
  /** Only the replication thread writes. */
  None = 0,
  Allowed = 1,
  /** A worker writes now. */
  Taken = 2,
  /** The last worker could not write everything: no other one goes on. */
  Stopped = 3,
}

const enum Row {
  Descriptor = 0,
  ClientSlot = 1,
  WrittenBytes = 2,
  Words = 4,
}

/** With more replicas, the replication thread writes to all of them. */
const REPLICAS_MAX = 8;
/** Between looks whether a worker has done with the sockets. */
const TAKEN_MS_MAX = 1;

export interface FedReplica {
  readonly descriptor: number;
  readonly clientSlot: number;
}

export class ReplicaFeed {
  private readonly words: Int32Array;

  constructor(handle: SharedArrayBuffer) {
    this.words = new Int32Array(handle);
  }

  static create(): SharedArrayBuffer {
    return new SharedArrayBuffer(4 * (Word.Rows + REPLICAS_MAX * Row.Words));
  }

  private row(index: number): number {
    return Word.Rows + index * Row.Words;
  }

  // What the replication thread calls.

  /** Allows workers to write to these replicas, which have got all that was taken from the journal. False if they are too many. */
  allow(replicas: readonly FedReplica[]): boolean {
    const { words } = this;
    if (replicas.length === 0 || replicas.length > REPLICAS_MAX) return false;
    for (const [index, { descriptor, clientSlot }] of replicas.entries()) {
      const row = this.row(index);
      words[row + Row.Descriptor] = descriptor;
      words[row + Row.ClientSlot] = clientSlot;
      words[row + Row.WrittenBytes] = 0;
    }
    words[Word.Replicas] = replicas.length;
    Atomics.store(words, Word.Right, Right.Allowed);
    return true;
  }

  /** From now on, no worker writes. Waits for one that does, for some system calls that do not block. */
  forbid(): void {
    const { words } = this;
    for (;;) {
      const right = Atomics.load(words, Word.Right);
      if (right === Right.None) return;
      if (right === Right.Taken) Atomics.wait(words, Word.Right, right, TAKEN_MS_MAX);
      else if (Atomics.compareExchange(words, Word.Right, right, Right.None) === right) return;
    }
  }

  // What workers call.

  get isAllowed(): boolean {
    return Atomics.load(this.words, Word.Right) === Right.Allowed;
  }

  /** Takes the right to write, until `end`: returns the number of replicas, 0 if it can't be had. */
  begin(): number {
    const { words } = this;
    if (Atomics.compareExchange(words, Word.Right, Right.Allowed, Right.Taken) !== Right.Allowed) return 0;
    return words[Word.Replicas];
  }

  /** `hasAll`: every replica has been sent everything. If not, the replication thread has to go on. */
  end(hasAll: boolean): void {
    Atomics.store(this.words, Word.Right, hasAll ? Right.Allowed : Right.Stopped);
    Atomics.notify(this.words, Word.Right);
  }

  descriptor(index: number): number {
    return this.words[this.row(index) + Row.Descriptor];
  }

  clientSlot(index: number): number {
    return this.words[this.row(index) + Row.ClientSlot];
  }

  /** Bytes that workers have written to a replica since `allow`. */
  writtenBytes(index: number): number {
    return this.words[this.row(index) + Row.WrittenBytes];
  }

  addWritten(index: number, lengthBytes: number): void {
    this.words[this.row(index) + Row.WrittenBytes] += lengthBytes;
  }
}
