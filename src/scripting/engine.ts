/**
 * Runs scripts and functions: one engine per worker thread, made with its first script.
 *
 * The engine keeps an instance of Lua, compiles what it has not compiled in it yet, and replaces it when it is broken or has
 * grown large (linear memory never shrinks). What it hands out, `Script` and `Library`, outlives instances.
 *
 * A call of `run` or `callFunction` ends in one of two ways. Either the reply lies in `memory.bytes` from `replyStart` on,
 * `replyLength` bytes, until the next call; it may be an error that the script returned. Or the script has failed: then
 * `failure` is the error's text, without the leading minus, one character per byte.
 */
import { functionNameError, type LibraryHeader, parseLibraryHeader, parseScriptHeader } from './flags.js';
import type { ScriptHost, ScriptMemory } from './host.js';
import { Instance, type InstanceOptions, Outcome, type RegisteredFunction } from './instance.js';

/** Where keys and arguments of a call are: pairs [offset, length], keys first. */
export interface ScriptArguments {
  bytes: Uint8Array;
  pairs: Int32Array;
  /** Number of the first key's pair. */
  start: number;
  keyCount: number;
  argCount: number;
}

/** A script of EVAL. */
export class Script {
  /** Its SHA-1 in 40 lower-case hexadecimal digits, by which errors name it. */
  readonly sha: string;
  readonly source: Uint8Array;
  /** Bits of `ScriptFlag`. */
  readonly flags: number;
  readonly codeStart: number;
  /** Lua's reference to the compiled function, in the instance of this number. */
  reference = 0;
  instance = 0;

  constructor(sha: string, source: Uint8Array, flags: number, codeStart: number) {
    this.sha = sha;
    this.source = source;
    this.flags = flags;
    this.codeStart = codeStart;
  }
}

/** A library of functions. */
export class Library {
  readonly name: string;
  readonly engine: string;
  readonly source: Uint8Array;
  readonly codeStart: number;
  readonly functions = new Map<string, RegisteredFunction>();
  instance = 0;

  constructor(header: LibraryHeader, source: Uint8Array) {
    this.name = header.name;
    this.engine = header.engine;
    this.source = source;
    this.codeStart = header.codeStart;
  }
}

/** An instance that has grown beyond this is replaced when its values are small again. */
const KEPT_MEMORY_BYTES = 32 << 20;
/** Share of the memory that compiled code and garbage may take before more is compiled. */
const COMPILED_SHARE = 0.25;
/** Lua's own text of the error for a lack of memory. */
const NO_MEMORY = 'not enough memory';
const LINE_ENDS = /[\r\n]/g;
/** The longest text of an error that is not a table, as in Redis. */
const PLAIN_ERROR_LENGTH_MAX = 100;

export interface EngineOptions extends Partial<InstanceOptions> {
  version: string;
  versionNumber: number;
}

export class ScriptEngine {
  replyStart = 0;
  replyLength = 0;
  failure = '';
  /** The error in the reply or failure was already counted, when the command that failed with it ran. */
  isCounted = false;

  private readonly host: ScriptHost;
  private readonly options: InstanceOptions;
  private instance: Instance | undefined;
  /** Counts instances: what was compiled in an earlier one is compiled again. */
  private instanceNumber = 0;

  constructor(host: ScriptHost, options: EngineOptions) {
    this.host = host;
    this.options = { memoryBytesMax: 64 << 20, randomSeed: undefined, ...options };
  }

  /** The memory of the running instance. */
  get memory(): ScriptMemory {
    return this.current();
  }

  private current(): Instance {
    if (this.instance === undefined) {
      this.instance = new Instance(this.host, this.options);
      this.instanceNumber++;
    }
    return this.instance;
  }

  /** Linear memory, and what values take of it. */
  get memoryBytes(): number {
    return this.instance?.memoryBytes ?? 0;
  }

  get usedBytes(): number {
    return this.instance?.usedBytes ?? 0;
  }

  /** Forgets everything compiled, and gives the memory back. */
  discard(): void {
    this.instance = undefined;
  }

  /** To be called now and then, between scripts: gives memory back that a hungry script has left behind. */
  trim(): void {
    const { instance } = this;
    if (instance === undefined || instance.memoryBytes <= KEPT_MEMORY_BYTES) return;
    instance.collectGarbage();
    if (instance.usedBytes < KEPT_MEMORY_BYTES / 4) this.discard();
  }

  /** Sets the limit of memory. A present instance that has grown beyond it is discarded. */
  limitMemory(bytes: number): void {
    this.options.memoryBytesMax = bytes;
    if (this.instance === undefined) return;
    if (this.instance.memoryBytes > Math.max(bytes, KEPT_MEMORY_BYTES / 2)) this.discard();
    else this.instance.exports.limitMemory(Math.max(bytes, KEPT_MEMORY_BYTES / 2));
  }

  /**
   * Compiles a script. `sha` is its SHA-1 in lower-case digits. Returns an error's text, with its code, if its first line or its
   * code is wrong.
   */
  compile(sha: string, source: Uint8Array): Script | string {
    const header = parseScriptHeader(source);
    if (typeof header === 'string') return `ERR ${header}`;
    const script = new Script(sha, source, header.flags, header.codeStart);
    const error = this.prepare(script);
    return error === undefined ? script : error;
  }

  /** Compiles a script in the present instance, unless that is done. Returns an error's text. */
  private prepare(script: Script): string | undefined {
    if (this.instance !== undefined && script.instance === this.instanceNumber) return undefined;
    this.makeRoom();
    let instance = this.current();
    const code = script.source.subarray(script.codeStart);
    try {
      script.reference = instance.putSource(code)
        ? instance.exports.compileScript(instance.scriptState, code.length)
        : 0;
    } catch (error) {
      return this.broken(error, script.sha);
    }
    if (script.reference === 0) {
      instance = this.current();
      const text = instance.failureParts()[0] ?? NO_MEMORY;
      if (text === NO_MEMORY) this.discard();
      return `ERR Error compiling script (new function): ${text.replace(LINE_ENDS, ' ')}`;
    }
    script.instance = this.instanceNumber;
    return undefined;
  }

  /**
   * Discards the instance if the compiled scripts take too much of its memory: how much a script may use must not
   * depend on how many others there are.
   */
  private makeRoom(): void {
    const { instance } = this;
    if (instance === undefined) return;
    const bytesMax = this.options.memoryBytesMax * COMPILED_SHARE;
    if (instance.usedBytes <= bytesMax) return;
    instance.collectGarbage();
    if (instance.usedBytes > bytesMax) this.discard();
  }

  /** Forgets the compiled form of a script. */
  release(script: Script): void {
    if (this.instance === undefined || script.instance !== this.instanceNumber) return;
    script.instance = 0;
    this.instance.exports.release(this.instance.scriptState, script.reference);
  }

  /** Runs a script for a client that gets replies in this protocol. Returns whether there is a reply. */
  run(script: Script, request: ScriptArguments, protocol: 2 | 3): boolean {
    let instance = this.instance;
    if (instance === undefined || script.instance !== this.instanceNumber) {
      const error = this.prepare(script);
      if (error !== undefined) return this.fail(error);
      instance = this.current();
    }
    return this.evaluate(instance, instance.scriptState, script.reference, request, protocol, script.sha);
  }

  /** Calls a function of a library. Returns whether there is a reply. */
  callFunction(library: Library, name: string, request: ScriptArguments, protocol: 2 | 3): boolean {
    if (this.instance === undefined || library.instance !== this.instanceNumber) {
      const error = this.load(library);
      if (error !== undefined) return this.fail(`ERR ${error}`);
    }
    const instance = this.current();
    const called = library.functions.get(name);
    if (called === undefined) return this.fail('ERR Function not found');
    return this.evaluate(instance, instance.functionState, called.reference, request, protocol, name);
  }

  private evaluate(
    instance: Instance,
    state: number,
    reference: number,
    request: ScriptArguments,
    protocol: 2 | 3,
    name: string,
  ): boolean {
    if (!putArguments(instance, request))
      return this.fail('ERR not enough memory for the arguments of the script');
    let outcome: Outcome;
    try {
      outcome = instance.exports.evaluate(state, reference, request.keyCount, request.argCount, protocol);
    } catch (error) {
      return this.fail(this.broken(error, name));
    }
    this.isCounted = outcome === Outcome.CountedReply || outcome === Outcome.CountedFailure;
    this.replyStart = instance.resultStart;
    this.replyLength = instance.resultLength;
    if (outcome === Outcome.Reply || outcome === Outcome.CountedReply) return true;
    const counted = this.isCounted;
    this.fail(describe(instance, name));
    this.isCounted = counted;
    // There was no memory. What is free now may be in pieces too small for the next script.
    if (instance.isPlainError) this.discard();
    return false;
  }

  private fail(text: string): false {
    this.failure = text;
    this.replyLength = 0;
    this.isCounted = false;
    return false;
  }

  /**
   * Handles an exception that came out of the engine. The host's own is rethrown; otherwise the code has trapped or the
   * machine's stack is used up, which ends the instance, but not the server.
   */
  private broken(error: unknown, name: string): string {
    const instance = this.instance;
    this.discard();
    if (instance !== undefined && instance.hostFailure !== undefined) throw instance.hostFailure;
    const reason = error instanceof RangeError ? 'stack overflow' : (error as Error).message;
    return `ERR Error running script ${name}, ${reason}`;
  }

  /**
   * Loads a library: runs its source, which registers its functions. Returns an error's text without a code if that
   * fails.
   */
  loadLibrary(source: Uint8Array): Library | string {
    const header = parseLibraryHeader(source);
    if (typeof header === 'string') return header;
    const library = new Library(header, source);
    const error = this.load(library);
    return error === undefined ? library : error;
  }

  private load(library: Library): string | undefined {
    this.makeRoom();
    const instance = this.current();
    const code = library.source.subarray(library.codeStart);
    const functions = new Map<string, RegisteredFunction>();
    let status: 0 | 1 | 2;
    try {
      status = instance.loadLibrary(code, (registered) => {
        const error = functionNameError(registered.name);
        if (error !== undefined) return error;
        if (functions.has(registered.name)) return 'Function already exists in the library';
        functions.set(registered.name, registered);
        return undefined;
      });
    } catch (error) {
      return this.broken(error, library.name);
    }
    if (status === 0 && functions.size > 0) {
      library.functions.clear();
      for (const [name, registered] of functions) library.functions.set(name, registered);
      library.instance = this.instanceNumber;
      return undefined;
    }
    for (const { reference } of functions.values())
      instance.exports.release(instance.functionState, reference);
    if (status === 0) return 'No functions registered';
    const text = instance.failureParts()[0] ?? NO_MEMORY;
    if (text === NO_MEMORY) this.discard();
    if (status === 1) return `Error compiling function: ${text}`;
    return `Error registering functions: ${instance.isPlainError ? 'ERR ' : ''}${text}`;
  }

  /** Forgets a library. */
  releaseLibrary(library: Library): void {
    const { instance } = this;
    if (instance === undefined || library.instance !== this.instanceNumber) return;
    library.instance = 0;
    for (const { reference } of library.functions.values()) {
      instance.exports.release(instance.functionState, reference);
    }
  }
}

/** Copies keys and arguments: their lengths, then their bytes. Returns false if there is no memory. */
function putArguments(instance: Instance, request: ScriptArguments): boolean {
  const { bytes: from, pairs, start } = request;
  const count = request.keyCount + request.argCount;
  let total = 4 * count;
  for (let index = start; index < start + count; index++) total += pairs[2 * index + 1];
  let to = instance.input(total);
  if (to === 0) return false;
  const { bytes, words } = instance;
  let word = to >> 2;
  to += 4 * count;
  for (let index = start; index < start + count; index++) {
    const offset = pairs[2 * index];
    const length = pairs[2 * index + 1];
    words[word++] = length;
    if (length > COPY_BYTES_MAX) bytes.set(from.subarray(offset, offset + length), to);
    else for (let at = 0; at < length; at++) bytes[to + at] = from[offset + at];
    to += length;
  }
  return true;
}
/** Longer arguments are copied with `set` instead of a loop. */
const COPY_BYTES_MAX = 64;

/** The text of an error that ended a script, with the place where it was raised. */
function describe(instance: Instance, name: string): string {
  const [text, source, line] = instance.failureParts();
  if (text === undefined) return `ERR Error running script ${name}, execution failure`;
  if (instance.isPlainError) {
    return `ERR Error running script ${name}, ${text.slice(0, PLAIN_ERROR_LENGTH_MAX)}`.replace(
      LINE_ENDS,
      ' ',
    );
  }
  const place = source === undefined || line === undefined ? '' : ` script: ${name}, on ${source}:${line}.`;
  return `${text}${place}`.replace(LINE_ENDS, ' ');
}
