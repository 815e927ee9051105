/** Waiting: for a word of shared memory to change, without blocking the thread's event loop, and for time to pass. */

/** Node.js has it since version 16; the language version that the compiler targets does not. */
const { waitAsync } = Atomics as unknown as {
  waitAsync(words: Int32Array, index: number, expected: number): { value: string | Promise<string> };
};

/** Settles once somebody notifies waiters of `words[index]`; at once if it is not `expected` any more. */
export async function waitForChange(words: Int32Array, index: number, expected: number): Promise<void> {
  await waitAsync(words, index, expected).value;
}

/** Nobody ever changes it: to wait for it is to wait. */
const neverChanged = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the thread for so long. */
export function sleep(milliseconds: number): void {
  Atomics.wait(neverChanged, 0, 0, milliseconds);
}
