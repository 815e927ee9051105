/** The few commands that a replica sends to its primary, read as text. */

const LINE_BYTES_MAX = 64 * 1024;

export class LinkInput {
  private buffer = Buffer.alloc(0);

  /** Adds bytes and returns the commands that are complete. Throws an Error on a syntax error. */
  add(bytes: Uint8Array): string[][] {
    this.buffer = Buffer.concat([this.buffer, bytes]);
    const commands: string[][] = [];
    for (;;) {
      const command = this.next();
      if (command === null) return commands;
      if (command.length > 0) commands.push(command);
    }
  }

  private next(): string[] | null {
    const { buffer } = this;
    const end = buffer.indexOf('\r\n');
    if (end < 0) {
      if (buffer.length > 0 && buffer[0] === 10) {
        this.buffer = buffer.subarray(1);
        return [];
      }
      if (buffer.length > LINE_BYTES_MAX) throw new Error('too long a line');
      return null;
    }
    const line = buffer.toString('latin1', 0, end);
    if (!line.startsWith('*')) {
      this.buffer = buffer.subarray(end + 2);
      return line.trim().split(' ').filter(Boolean);
    }
    const command: string[] = [];
    let at = end + 2;
    for (let left = Number(line.slice(1)); left > 0; left--) {
      const lengthEnd = buffer.indexOf('\r\n', at);
      if (lengthEnd < 0) return null;
      const length = Number(buffer.toString('latin1', at + 1, lengthEnd));
      if (buffer[at] !== 0x24 || !(length >= 0 && length <= LINE_BYTES_MAX)) throw new Error('no command');
      const start = lengthEnd + 2;
      if (buffer.length < start + length + 2) return null;
      command.push(buffer.toString('latin1', start, start + length));
      at = start + length + 2;
    }
    this.buffer = buffer.subarray(at);
    return command;
  }
}
