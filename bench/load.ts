/**
 * Load that needs no replies read one by one: SETs of 16-byte keys, in chunks with a bounded number of
 * unanswered commands per connection.
 */

import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import net from 'node:net';

export const KEY_BYTES = 16;
const CHUNK_COMMANDS = 256;
const CHUNKS_IN_FLIGHT = 4;
const OK_BYTES = '+OK\r\n'.length;
/** What a SET takes besides its value, at most. */
const COMMAND_BYTES_MAX = 64;

/** The key of a number, as redis-benchmark writes it: `key:` and twelve digits. */
export function keyName(index: number): string {
  return `key:${String(index).padStart(12, '0')}`;
}

export interface SetLoad {
  port: number;
  /** How many SETs to send. */
  count: number;
  /** Key number and value size, in bytes, of the n-th SET. */
  next(n: number): { key: number; valueBytes: number };
  valueBytesMax: number;
  onProgress?(done: number): void;
}

/** Sends SETs as fast as they are answered. Rejects at the first reply that is an error. */
export async function sendSets(load: SetLoad): Promise<void> {
  const socket = net.connect(load.port, '127.0.0.1');
  socket.setNoDelay(true);
  await once(socket, 'connect');
  const filler = Buffer.alloc(load.valueBytesMax, 'abcdefghijklmnopqrstuvwxyz0123456789');
  let answeredBytes = 0;
  let failure: Error | null = null;
  let wake: (() => void) | null = null;
  const fail = (error: Error) => {
    failure ??= error;
    wake?.();
  };
  socket.on('data', (chunk: Buffer) => {
    if (chunk.includes('-')) fail(new Error(`the server answered ${chunk.toString('latin1', 0, 200)}`));
    answeredBytes += chunk.length;
    wake?.();
  });
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the server closed the connection')));
  const answersReach = async (commands: number) => {
    while (answeredBytes < commands * OK_BYTES) {
      if (failure) throw failure;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (failure) throw failure;
  };
  for (let sent = 0; sent < load.count; ) {
    const commands = Math.min(CHUNK_COMMANDS, load.count - sent);
    const chunk = Buffer.allocUnsafe(commands * (COMMAND_BYTES_MAX + load.valueBytesMax));
    let at = 0;
    for (let i = 0; i < commands; i++) {
      const { key, valueBytes } = load.next(sent + i);
      at += chunk.write(`*3\r\n$3\r\nSET\r\n$16\r\n${keyName(key)}\r\n$${valueBytes}\r\n`, at, 'latin1');
      at += filler.copy(chunk, at, 0, valueBytes);
      at += chunk.write('\r\n', at, 'latin1');
    }
    socket.write(chunk.subarray(0, at));
    sent += commands;
    await answersReach(sent - CHUNKS_IN_FLIGHT * CHUNK_COMMANDS);
    load.onProgress?.(sent);
  }
  await answersReach(load.count);
  socket.destroy();
}

/** Sets the keys 0 to count-1 to values of one size. */
export function preload(port: number, count: number, valueBytes: number): Promise<void> {
  return sendSets({ port, count, valueBytesMax: valueBytes, next: (n) => ({ key: n, valueBytes }) });
}
