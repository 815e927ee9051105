/** What the engine asks of the server: the functions of `ScriptHost` (src/scripting/host.ts). */

/**
 * Runs a command. Its arguments are `count` pairs [offset, length] at `pairs`, offsets of linear memory.
 * The reply is at `replyStart()` then.
 */
export declare function hostCall(pairs: usize, count: i32): void;
/** Whether the running script has to end: 0 if not, otherwise the number of bytes of the error's text in the reply. */
export declare function hostInterrupt(): i32;
/** Answers redis.acl_check_cmd: 1, 0, or -1 if there is no such command. */
export declare function hostAclCheck(pairs: usize, count: i32): i32;
export declare function hostLog(level: i32, bytes: usize, length: i32): void;
export declare function hostSetProtocol(version: i32): void;
export declare function hostSetReplication(flags: i32): void;
/** Processor time in seconds, for os.clock. */
export declare function hostClock(): f64;
/** The linear memory has been replaced by a larger one, or the reply area is elsewhere. */
export declare function hostMemoryChanged(): void;
/** Registers a function of the library that is being loaded. Returns the length of an error's text in the reply, or 0. */
export declare function hostRegisterFunction(
  name: usize,
  nameLength: i32,
  description: usize,
  descriptionLength: i32,
  flags: i32,
  reference: i32,
): i32;
