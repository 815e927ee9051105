/** What a family of commands gives to the generated compatibility test. */

import type { Vocabulary, Word } from './vocabulary.js';

/** Makes one random command, name first. */
export type CommandMaker = (v: Vocabulary) => Word[];

export interface Family {
  name: string;
  /** How often each maker is picked, relative to the others of the family. */
  commands: readonly (readonly [weight: number, make: CommandMaker])[];
  /**
   * Makers of commands that set a time to live of a few milliseconds. They go into scripts of their own
   * kind, which wait after each of them until that time is surely over on both servers.
   */
  shortLived?: readonly CommandMaker[];
  /** Byte sequences for connections of their own, each with the cuts at which it is split in writes. */
  bytes?: (v: Vocabulary) => Uint8Array[];
}
