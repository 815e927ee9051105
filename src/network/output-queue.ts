/** Output of one connection that its socket has not taken yet, in the order in which it is to be sent. */

import { OutputBlock, outputBlocks } from './output-blocks.js';

export class OutputQueue {
  private readonly blocks: OutputBlock[] = [];
  lengthBytes = 0;

  /** Blocks that it is in. */
  get blockCount(): number {
    return this.blocks.length;
  }

  /** The block to be sent next. There must be one. */
  get first(): OutputBlock {
    return this.blocks[0];
  }

  /** Puts a copy of bytes[start, end) at the end. */
  append(bytes: Uint8Array, start: number, end: number): void {
    const { blocks } = this;
    for (let at = start; at < end; ) {
      let block = blocks.length > 0 ? blocks[blocks.length - 1] : null;
      if (block === null || block.roomBytes === 0) {
        block = outputBlocks.take(Math.max(end - at, this.lengthBytes));
        blocks.push(block);
      }
      const taken = Math.min(end - at, block.roomBytes);
      block.bytes.set(bytes.subarray(at, at + taken), block.end);
      block.end += taken;
      this.lengthBytes += taken;
      at += taken;
    }
  }

  /** Puts a copy of bytes[start, end) before everything else. */
  prepend(bytes: Uint8Array, start: number, end: number): void {
    const block = new OutputBlock(bytes.slice(start, end));
    block.end = end - start;
    this.blocks.unshift(block);
    this.lengthBytes += block.end;
  }

  /** Puts bytes[start, end) at the end as they are: the buffer is the queue's from now on. */
  adopt(bytes: Uint8Array, start: number, end: number): void {
    const block = new OutputBlock(bytes);
    block.start = start;
    block.end = end;
    this.blocks.push(block);
    this.lengthBytes += end - start;
  }

  /** Removes bytes of the first block, since they are sent. */
  consume(lengthBytes: number): void {
    const block = this.blocks[0];
    block.start += lengthBytes;
    this.lengthBytes -= lengthBytes;
    if (block.start < block.end) return;
    this.blocks.shift();
    outputBlocks.give(block);
  }

  clear(): void {
    for (const block of this.blocks) outputBlocks.give(block);
    this.blocks.length = 0;
    this.lengthBytes = 0;
  }
}
