/** Waiting: for a word of shared memory to change, without blocking the thread's event loop, and for time to pass. */

/** Node.js has `waitAsync` since version 16; the language version that the compiler targets lacks it. */
const { waitAsync } = Atomics as unknown as {
  waitAsync(words: Int32Array, index: number, expected: number): { value: string | Promise<string> };
};

/** Settles when a thread notifies the waiters of `words[index]`, or at once if that is not `expected` any more. */
export async function waitForChange(words: Int32Array, index: number, expected: number): Promise<void> {
  await waitAsync(words, index, expected).value;
}

/** No thread changes or notifies it, so waiting for it lasts until the timeout. */
const neverChanged = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the thread for so long. */
export function sleep(milliseconds: number): void {
  Atomics.wait(neverChanged, 0, 0, milliseconds);
}

const SLICE_MS = 10;

/** Blocks the thread for as many milliseconds as `totalMs` says; it is asked again every 10 ms. */
export function sleepInSlices(totalMs: () => number): void {
  let sleptMs = 0;
  for (let leftMs = totalMs(); leftMs > 0; leftMs = totalMs() - sleptMs) {
    const sliceMs = Math.min(SLICE_MS, leftMs);
    sleep(sliceMs);
    sleptMs += sliceMs;
  }
}
