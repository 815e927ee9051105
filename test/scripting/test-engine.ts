/** A script engine with a host of a few commands, and ways to run scripts in it as text. */
import { createHash } from 'node:crypto';
import { type Library, Script, ScriptEngine } from '../../src/scripting/engine.js';
import type { ScriptHost, ScriptMemory } from '../../src/scripting/host.js';

export interface TestEngineOptions {
  memoryBytesMax?: number;
  /** Ends a script when it has asked so often; never if there is none. */
  interruptAfter?: number;
}

const KILLED = '-ERR Script killed by user with SCRIPT KILL...';

/** Strings have one character per byte. */
export class TestEngine implements ScriptHost {
  readonly engine: ScriptEngine;
  readonly logged: string[] = [];
  readonly protocols: number[] = [];
  readonly replication: number[] = [];
  interruptAfter: number;
  /** How often the host was asked since the last script began. */
  asked = 0;
  private readonly scripts = new Map<string, Script>();
  private readonly values = new Map<string, string>();

  constructor(options: TestEngineOptions = {}) {
    this.interruptAfter = options.interruptAfter ?? Number.POSITIVE_INFINITY;
    this.engine = new ScriptEngine(this, {
      version: '7.0.15',
      versionNumber: 0x0007000f,
      memoryBytesMax: options.memoryBytesMax ?? 64 << 20,
    });
  }

  call(memory: ScriptMemory, pairStart: number, count: number): void {
    const reply = Buffer.from(this.reply(argumentsOf(memory, pairStart, count)), 'latin1');
    if (reply.length <= memory.reply.length) memory.reply.set(reply);
    else memory.putReply(reply, 0, reply.length);
  }

  private reply([name, ...args]: string[]): string {
    switch (name.toUpperCase()) {
      case 'ECHO':
        if (args.length !== 1) return '-ERR Wrong number of args calling Redis command from script\r\n';
        return `$${args[0].length}\r\n${args[0]}\r\n`;
      case 'SET':
        this.values.set(args[0], args[1]);
        return '+OK\r\n';
      case 'GET': {
        const value = this.values.get(args[0]);
        return value === undefined ? '$-1\r\n' : `$${value.length}\r\n${value}\r\n`;
      }
      case 'RAW':
        return args[0];
      case 'FAIL':
        throw new Error('the host has failed');
      default:
        return '-ERR Unknown Redis command called from script\r\n';
    }
  }

  interrupt(): string | undefined {
    return ++this.asked >= this.interruptAfter ? KILLED : undefined;
  }

  mayCall(memory: ScriptMemory, pairStart: number, count: number): boolean | undefined {
    const [name] = argumentsOf(memory, pairStart, count);
    return name === 'nosuch' ? undefined : name !== 'forbidden';
  }

  log(level: number, text: Uint8Array): void {
    this.logged.push(`${level} ${Buffer.from(text).toString('latin1')}`);
  }

  setProtocol(protocol: 2 | 3): void {
    this.protocols.push(protocol);
  }

  setReplication(flags: number): void {
    this.replication.push(flags);
  }

  /** Runs a script. Returns its reply, or the error that ended it as one. */
  eval(
    source: string,
    keys: readonly string[] = [],
    args: readonly string[] = [],
    protocol: 2 | 3 = 2,
  ): string {
    this.asked = 0;
    const bytes = Buffer.from(source, 'latin1');
    const sha = createHash('sha1').update(bytes).digest('hex');
    let script = this.scripts.get(sha);
    if (script === undefined) {
      const compiled = this.engine.compile(sha, bytes);
      if (!(compiled instanceof Script)) return `-${compiled}\r\n`;
      script = compiled;
      this.scripts.set(sha, script);
    }
    return this.replyOf(this.engine.run(script, packArguments(keys, args), protocol));
  }

  /** Calls a function of a library. */
  fcall(library: Library, name: string, keys: readonly string[] = [], args: readonly string[] = []): string {
    this.asked = 0;
    return this.replyOf(this.engine.callFunction(library, name, packArguments(keys, args), 2));
  }

  private replyOf(replied: boolean): string {
    const { engine } = this;
    if (!replied) return `-${engine.failure}\r\n`;
    return Buffer.from(engine.memory.bytes.buffer, engine.replyStart, engine.replyLength).toString('latin1');
  }
}

function argumentsOf(memory: ScriptMemory, pairStart: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const pair = 2 * (pairStart + index);
    return Buffer.from(memory.bytes.buffer, memory.words[pair], memory.words[pair + 1]).toString('latin1');
  });
}

function packArguments(keys: readonly string[], args: readonly string[]) {
  const parts = [...keys, ...args].map((text) => Buffer.from(text, 'latin1'));
  const pairs = new Int32Array(2 * parts.length);
  let offset = 0;
  for (const [index, part] of parts.entries()) {
    pairs[2 * index] = offset;
    pairs[2 * index + 1] = part.length;
    offset += part.length;
  }
  return { bytes: Buffer.concat(parts), pairs, start: 0, keyCount: keys.length, argCount: args.length };
}
