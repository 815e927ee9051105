/**
 * An instance of engine.wasm: Lua with our libraries, in a linear memory of its own.
 *
 * Nothing else is imported than what is here, so a script that breaks out of Lua is still inside of that memory. An
 * instance whose code has trapped, or has used up the machine's stack, is in an unknown state: the caller that catches
 * the exception makes a new one.
 */
import { readFileSync } from 'node:fs';
import type { ScriptHost, ScriptMemory } from './host.js';

/** As in assembly/engine.ts. */
export const enum Outcome {
  Reply = 0,
  CountedReply = 1,
  Failure = 2,
  CountedFailure = 3,
}

/** The functions that engine.wasm exports (assembly/index.ts). Pointers and states are offsets. */
interface Exports {
  memory: WebAssembly.Memory;
  limitMemory(bytes: number): void;
  createState(functions: number, version: number, versionNumber: number): number;
  compileScript(state: number, length: number): number;
  evaluate(state: number, script: number, keys: number, args: number, protocol: number): Outcome;
  loadLibrary(state: number, length: number): 0 | 1 | 2;
  release(state: number, script: number): void;
  inputArea(bytes: number): number;
  replyArea(bytes: number): number;
  resultCells(): number;
  usedBytes(state: number): number;
  collectGarbage(state: number): void;
  seedRandom(seed: number): void;
}

/** What a library says of a function that it registers. */
export interface RegisteredFunction {
  name: string;
  description: string | undefined;
  /** Bits of `ScriptFlag`. */
  flags: number;
  /** Lua's reference to the function, in this instance. */
  reference: number;
}

/** The size of the reply's window, as in assembly/reply-area.ts. */
const REPLY_AREA_BYTES = 64 * 1024;
/** Initial size of the linear memory; most of it is never touched. */
const INITIAL_BYTES = 16 << 20;

/** Thrown for an error of Lua (assembly/longjmp.wat); not an Error, whose stack trace would cost too much. */
const LONGJMP = Object.freeze({});

let compiled: WebAssembly.Module | undefined;

/** The engine's code; compiled once a thread. */
function engineModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('./engine.wasm', import.meta.url)));
  return compiled;
}

export interface InstanceOptions {
  /** The most that the linear memory may grow to, but at least 16 MiB. */
  memoryBytesMax: number;
  /** REDIS_VERSION and REDIS_VERSION_NUM. */
  version: string;
  versionNumber: number;
  /** The seed of math.random; as in Redis if undefined. */
  randomSeed: number | undefined;
}

export class Instance implements ScriptMemory {
  bytes!: Uint8Array;
  view!: DataView;
  words!: Int32Array;
  reply!: Uint8Array;
  replyView!: DataView;

  readonly exports: Exports;
  /** The state that runs the scripts of EVAL; that of functions is made with the first library. */
  readonly scriptState: number;
  private functionStateIfMade = 0;
  /** The word where the result of a call begins (assembly/engine.ts). */
  private readonly results: number;
  private inputBytes = 0;
  private inputOffset = 0;
  private readonly options: InstanceOptions;
  /** Takes the functions of the library that is being loaded; returns an error's text for one that it refuses. */
  private register: ((registered: RegisteredFunction) => string | undefined) | undefined;
  /** An exception of the host that is on its way through the engine. */
  hostFailure: unknown;

  constructor(host: ScriptHost, options: InstanceOptions) {
    this.options = options;
    const instance = new WebAssembly.Instance(engineModule(), { host: this.imports(host) });
    this.exports = instance.exports as unknown as Exports;
    this.exports.limitMemory(Math.max(options.memoryBytesMax, INITIAL_BYTES));
    this.refreshViews();
    this.results = this.exports.resultCells() >> 2;
    this.scriptState = this.createState(false);
    if (options.randomSeed !== undefined) this.exports.seedRandom(options.randomSeed);
  }

  private imports(host: ScriptHost): Record<string, WebAssembly.ImportValue> {
    // Notes exceptions of the host, which must not be taken for failures of the engine.
    const guarded = <Args extends number[], Result>(call: (...args: Args) => Result) => {
      return (...args: Args): Result => {
        try {
          return call(...args);
        } catch (error) {
          this.hostFailure = error;
          throw error;
        }
      };
    };
    return {
      hostCall: (pairs: number, count: number): void => {
        try {
          host.call(this, pairs >> 3, count);
        } catch (error) {
          this.hostFailure = error;
          throw error;
        }
      },
      hostInterrupt: guarded(() => this.replyText(host.interrupt())),
      hostAclCheck: guarded((pairs: number, count: number) => {
        const allowed = host.mayCall(this, pairs >> 3, count);
        return allowed === undefined ? -1 : Number(allowed);
      }),
      hostLog: guarded((level: number, at: number, length: number) =>
        host.log(level, this.bytes.slice(at, at + length)),
      ),
      hostSetProtocol: guarded((version: number) => host.setProtocol(version === 3 ? 3 : 2)),
      hostSetReplication: guarded((flags: number) => host.setReplication(flags)),
      hostClock: () => {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1e6;
      },
      hostMemoryChanged: () => this.refreshViews(),
      hostLongjmp: () => {
        throw LONGJMP;
      },
      hostRegisterFunction: guarded(
        (
          name: number,
          nameLength: number,
          text: number,
          textLength: number,
          flags: number,
          reference: number,
        ) =>
          this.replyText(
            this.register?.({
              name: this.latin1(name, nameLength),
              description: textLength < 0 ? undefined : this.latin1(text, textLength),
              flags,
              reference,
            }),
          ),
      ),
    };
  }

  private refreshViews(): void {
    const { buffer } = this.exports.memory;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.words = new Int32Array(buffer);
    this.refreshReply(this.exports.replyArea(0));
  }

  private refreshReply(offset: number): void {
    this.reply = new Uint8Array(this.bytes.buffer, offset, REPLY_AREA_BYTES);
    this.replyView = new DataView(this.bytes.buffer, offset, REPLY_AREA_BYTES);
  }

  putReply(bytes: Uint8Array, start: number, end: number): void {
    let area = this.exports.replyArea(end - start);
    let from = bytes.subarray(start, end);
    if (area === 0) {
      from = Buffer.from('-ERR not enough memory for the reply in the script\r\n');
      area = this.exports.replyArea(0);
    }
    this.bytes.set(from, area);
    this.refreshReply(area);
  }

  /** Puts a text where the engine reads replies. Returns its length, 0 for none. */
  private replyText(text: string | undefined): number {
    if (text === undefined) return 0;
    const encoded = Buffer.from(text, 'latin1');
    this.putReply(encoded, 0, encoded.length);
    return encoded.length;
  }

  private createState(functions: boolean): number {
    const version = Buffer.from(`${this.options.version}\0`, 'latin1');
    this.bytes.set(version, this.input(version.length));
    const state = this.exports.createState(Number(functions), this.inputOffset, this.options.versionNumber);
    if (state === 0) throw new WebAssembly.RuntimeError('no memory for a state of Lua');
    return state;
  }

  get functionState(): number {
    if (this.functionStateIfMade === 0) this.functionStateIfMade = this.createState(true);
    return this.functionStateIfMade;
  }

  /** Where a call's input is put, with room for so many bytes; 0 if there is no memory. */
  input(bytes: number): number {
    if (bytes > this.inputBytes || this.inputBytes === 0) {
      this.inputOffset = this.exports.inputArea(bytes);
      this.inputBytes = this.inputOffset === 0 ? 0 : bytes;
    }
    return this.inputOffset;
  }

  /** Where the result of the last call begins. */
  get resultStart(): number {
    return this.words[this.results];
  }

  get resultLength(): number {
    return this.words[this.results + 1];
  }

  /** The parts of an error: text, source and line; one that is not there is undefined. */
  failureParts(): (string | undefined)[] {
    let at = this.resultStart;
    const parts: (string | undefined)[] = [];
    for (let part = 0; part < 3; part++) {
      const length = this.words[this.results + 2 + part];
      parts.push(length < 0 ? undefined : this.latin1(at, length));
      if (length > 0) at += length;
    }
    return parts;
  }

  /** Whether the last error was not a table, as Lua's "not enough memory" is not. */
  get isPlainError(): boolean {
    return this.words[this.results + 5] === 0;
  }

  private latin1(offset: number, length: number): string {
    return Buffer.from(this.bytes.buffer, offset, length).toString('latin1');
  }

  /** Puts the source of a script or a library into the input. Returns false if there is no memory. */
  putSource(source: Uint8Array): boolean {
    const at = this.input(source.length);
    if (at === 0) return false;
    this.bytes.set(source, at);
    return true;
  }

  /**
   * Loads a library: the functions that it registers are given to `register`. Returns 1 if it does not compile, 2 if it
   * fails, or there is no memory.
   */
  loadLibrary(code: Uint8Array, register: (registered: RegisteredFunction) => string | undefined): 0 | 1 | 2 {
    // Makes the state first, since that uses the input area, too.
    const state = this.functionState;
    if (!this.putSource(code)) return 2;
    this.register = register;
    try {
      return this.exports.loadLibrary(state, code.length);
    } finally {
      this.register = undefined;
    }
  }

  get memoryBytes(): number {
    return this.bytes.length;
  }

  /** Bytes that the values of scripts and functions take, garbage included. */
  get usedBytes(): number {
    const functions = this.functionStateIfMade;
    return (
      this.exports.usedBytes(this.scriptState) + (functions === 0 ? 0 : this.exports.usedBytes(functions))
    );
  }

  collectGarbage(): void {
    this.exports.collectGarbage(this.scriptState);
    if (this.functionStateIfMade !== 0) this.exports.collectGarbage(this.functionStateIfMade);
  }
}
