/**
 * What the script engine asks of the server, and the memory in which they meet.
 *
 * The engine knows nothing of commands or keys. A command that a script calls is handed over as pairs [offset, length] in
 * the engine's linear memory, and its reply is put there, too: no bytes become strings in between.
 */

/**
 * The engine's linear memory. When it grows, all views are replaced: do not keep them across a call into the engine.
 * While a command runs they stay valid.
 */
export interface ScriptMemory {
  bytes: Uint8Array;
  view: DataView;
  /** The same bytes as 32-bit words: pairs of arguments can be read as they are. */
  words: Int32Array;
  /** Where replies are put: a window of `bytes`. A longer reply goes there by `putReply`. */
  reply: Uint8Array;
  replyView: DataView;
  /** Puts a reply that is somewhere else where the engine reads it, and may replace all views. */
  putReply(bytes: Uint8Array, start: number, end: number): void;
}

export interface ScriptHost {
  /**
   * Runs a command for the script. Its arguments are `count` pairs of `memory.words`, from the pair with this number on;
   * their offsets are those of `memory.bytes`. The reply is in the protocol that the script has chosen; it is
   * written to `memory.reply` from its beginning, or put there by `memory.putReply`.
   */
  call(memory: ScriptMemory, pairStart: number, count: number): void;
  /**
   * Called every few milliseconds while a script runs. If it returns a text, the script ends with that error: "-CODE
   * message", or, without the minus, a message whose code is ERR.
   */
  interrupt(): string | undefined;
  /** Whether the client may run a command with these arguments; undefined if there is no such command. */
  mayCall(memory: ScriptMemory, pairStart: number, count: number): boolean | undefined;
  /** redis.log, with a level from 0 (debug) to 3 (warning). */
  log(level: number, text: Uint8Array): void;
  /** redis.setresp: commands reply to this script in RESP2 or RESP3 from now on. Each script begins with RESP2. */
  setProtocol(protocol: 2 | 3): void;
  /** redis.set_repl: what of the script's writes is recorded and replicated from now on (bits: 1 journal, 2 replicas). */
  setReplication(flags: number): void;
}
