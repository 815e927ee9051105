/**
 * The scripts that workers run now, one at most each, and what SCRIPT KILL and FUNCTION STATS have to know of slow ones in any
 * worker.
 *
 *   for each worker, int32 words
 *     0 state: 0 none, 1 a script of EVAL, 2 a function     1 it has written     2 it shall end
 *     3 arguments of its command, in RESP: bytes            4 length of the name
 *     6 bytes that Lua takes in this worker             7 scripts begun and ended: odd while one runs
 *   float64 4: when it began, in ms since the epoch
 *   bytes from 64: name (64), then the arguments
 */

const WORKER_BYTES = 8192;
const NAME_START = 64;
const NAME_BYTES_MAX = 128;
const COMMAND_START = NAME_START + NAME_BYTES_MAX;
const COMMAND_BYTES_MAX = WORKER_BYTES - COMMAND_START;

const enum Word {
  State = 0,
  HasWritten = 1,
  Kill = 2,
  CommandBytes = 3,
  NameBytes = 4,
  Arguments = 5,
  VmBytes = 6,
  Turns = 7,
}
const START_DOUBLE = 4;

export const enum ScriptKind {
  None = 0,
  Eval = 1,
  Function = 2,
}

/** How an attempt to end scripts went. */
export const enum KillResult {
  Killed,
  /** There is no slow script. */
  NoScript,
  /** The slow script is of the other kind. */
  OtherKind,
  Unkillable,
}

export class RunningScripts {
  private readonly bytes: Uint8Array;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly workers: number;

  constructor(handle: SharedArrayBuffer) {
    this.bytes = new Uint8Array(handle);
    this.words = new Int32Array(handle);
    this.doubles = new Float64Array(handle);
    this.workers = handle.byteLength / WORKER_BYTES;
  }

  static create(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer(workers * WORKER_BYTES);
  }

  private word(worker: number, word: Word): number {
    return worker * (WORKER_BYTES / 4) + word;
  }

  /** A worker's script has become slow. `command`: its arguments, each a bulk string in RESP. */
  begin(
    worker: number,
    kind: ScriptKind,
    name: string,
    startMs: number,
    command: Uint8Array,
    argumentCount: number,
    hasWritten: boolean,
  ): void {
    const { words, bytes } = this;
    const start = worker * WORKER_BYTES;
    const nameBytes = Buffer.from(name, 'latin1').subarray(0, NAME_BYTES_MAX);
    bytes.set(nameBytes, start + NAME_START);
    const length = command.length > COMMAND_BYTES_MAX ? 0 : command.length;
    bytes.set(command.subarray(0, length), start + COMMAND_START);
    words[this.word(worker, Word.Arguments)] = length === 0 ? 0 : argumentCount;
    words[this.word(worker, Word.NameBytes)] = nameBytes.length;
    words[this.word(worker, Word.CommandBytes)] = length;
    this.doubles[worker * (WORKER_BYTES / 8) + START_DOUBLE] = startMs;
    Atomics.store(words, this.word(worker, Word.HasWritten), hasWritten ? 1 : 0);
    Atomics.store(words, this.word(worker, Word.Kill), 0);
    Atomics.store(words, this.word(worker, Word.State), kind);
  }

  /** A script is about to write: from now on it can't be ended. Returns false if it has to end now. */
  noteWrite(worker: number): boolean {
    const { words } = this;
    Atomics.store(words, this.word(worker, Word.HasWritten), 1);
    return Atomics.load(words, this.word(worker, Word.Kill)) === 0;
  }

  end(worker: number): void {
    Atomics.store(this.words, this.word(worker, Word.State), ScriptKind.None);
  }

  /** Whether a worker's script shall end. */
  isKilled(worker: number): boolean {
    return Atomics.load(this.words, this.word(worker, Word.Kill)) !== 0;
  }

  /** Counts the beginning or the end of a worker's script. */
  turn(worker: number): void {
    this.words[this.word(worker, Word.Turns)]++;
  }

  /** For each worker that runs a script its number of turns (begun and ended scripts), else 0. */
  turns(): number[] {
    return Array.from({ length: this.workers }, (_, worker) => {
      const turns = Atomics.load(this.words, this.word(worker, Word.Turns));
      return turns & 1 ? turns : 0;
    });
  }

  /** Notes how much memory Lua takes in a worker. */
  noteVmBytes(worker: number, bytes: number): void {
    this.words[this.word(worker, Word.VmBytes)] = bytes;
  }

  /** What Lua takes in all workers, as last noted. */
  get vmBytes(): number {
    let sum = 0;
    for (let worker = 0; worker < this.workers; worker++) sum += this.words[this.word(worker, Word.VmBytes)];
    return sum;
  }

  /** Ends all slow scripts of a kind that have not written. */
  kill(kind: ScriptKind): KillResult {
    const { words } = this;
    let result = KillResult.NoScript;
    for (let worker = 0; worker < this.workers; worker++) {
      const running = Atomics.load(words, this.word(worker, Word.State));
      if (running === ScriptKind.None) continue;
      if (Atomics.load(words, this.word(worker, Word.HasWritten)) !== 0) {
        if (result !== KillResult.Killed) result = KillResult.Unkillable;
      } else if (running !== kind) {
        if (result === KillResult.NoScript) result = KillResult.OtherKind;
      } else {
        Atomics.store(words, this.word(worker, Word.Kill), 1);
        result = KillResult.Killed;
      }
    }
    return result;
  }

  /** The first slow script; null if there is none. */
  first(): {
    kind: ScriptKind;
    name: string;
    startMs: number;
    command: Uint8Array;
    argumentCount: number;
  } | null {
    const { words, bytes } = this;
    for (let worker = 0; worker < this.workers; worker++) {
      const kind = Atomics.load(words, this.word(worker, Word.State));
      if (kind === ScriptKind.None) continue;
      const start = worker * WORKER_BYTES;
      const nameStart = start + NAME_START;
      const commandStart = start + COMMAND_START;
      const name = Buffer.from(bytes.slice(nameStart, nameStart + words[this.word(worker, Word.NameBytes)]));
      return {
        kind,
        name: name.toString('latin1'),
        startMs: this.doubles[worker * (WORKER_BYTES / 8) + START_DOUBLE],
        argumentCount: words[this.word(worker, Word.Arguments)],
        command: bytes.slice(commandStart, commandStart + words[this.word(worker, Word.CommandBytes)]),
      };
    }
    return null;
  }
}
