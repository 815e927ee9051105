/** Libraries of functions in an RDB file and in the payload of FUNCTION DUMP: for each its opcode and its source. */

import { RdbOpcode } from './rdb-format.js';
import { type RdbInput, RdbString } from './rdb-input.js';
import type { RdbOutput } from './rdb-output.js';

export function writeFunctions(output: RdbOutput, sources: readonly Uint8Array[]): void {
  for (const source of sources) {
    output.byte(RdbOpcode.Function2);
    output.string(source, new DataView(source.buffer, source.byteOffset, source.length), 0, source.length);
  }
}

/** Reads the source of a library, behind its opcode. */
export function readFunctionSource(input: RdbInput): Uint8Array {
  const source = new RdbString();
  input.string(source);
  return source.bytes.slice(source.offset, source.offset + source.lengthBytes);
}
