/**
 * Brings the lines of MONITOR from the workers that run commands to the workers that have monitors.
 *
 * While nobody monitors, a command costs one look at one word (`ControlBlock.monitorCount`). Otherwise each
 * worker gathers its lines and, once the commands of a read have run, puts them into the mailbox of every
 * worker with monitors, its own included. A mailbox message holds whole lines, or a part of one long line:
 * the receiver puts the parts of each sender together again, so that lines of two senders never mix.
 *
 * A mailbox may be full because its owner is busy. What does not fit waits here; if that gets too much,
 * the monitors of that worker are closed, since a monitor that misses lines would mislead.
 */

import type { ClientTable } from '../state/client-table.js';
import type { ControlBlock } from '../state/control-block.js';
import { type Message, MessageKind } from '../state/mailbox.js';
import type { ProcessState } from '../state/process-state.js';
import { secretArguments } from './command-logs.js';
import type { CommandContext } from './context.js';
import type { Session } from './session.js';
import type { Command } from './table/command-table.js';

const LINES_BYTES_INITIAL = 4 * 1024;
const LINES_BYTES_KEPT_MAX = 1024 * 1024;
/** Payload of one message; a mailbox has room for several. */
const MESSAGE_BYTES_MAX = 64 * 1024;
/** What may wait for one worker's mailbox. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;

/** The message begins, or ends, at the border of a line. */
const enum Part {
  First = 1,
  Last = 2,
}

interface Waiting {
  readonly payload: Uint8Array;
  readonly part: number;
}

const REDACTED = Buffer.from('"(redacted)"', 'latin1');
const HEXADECIMAL = '0123456789abcdef';
/** What follows the backslash, by byte; 0 where the byte is shown otherwise. */
const ESCAPES = new Uint8Array(256);
for (const [character, escaped] of ['\nn', '\rr', '\tt', '\x07a', '\bb', '""', '\\\\'])
  ESCAPES[character.charCodeAt(0)] = escaped.charCodeAt(0);

export class MonitorFeed {
  private readonly control: ControlBlock;
  private readonly clients: ClientTable;
  private readonly state: ProcessState;
  private readonly workerIndex: number;
  private readonly workerCount: number;
  /** Sends bytes to a session of this worker. */
  private readonly deliver: (session: Session, lines: Uint8Array) => void;
  private readonly wakeWorker: (worker: number) => void;
  private readonly sessions = new Set<Session>();
  /** Lines of this worker's commands since the last `flush`. */
  private lines = new Uint8Array(LINES_BYTES_INITIAL);
  private length = 0;
  /** By worker: what its mailbox had no room for. */
  private readonly backlogs: Waiting[][];
  private readonly backlogBytes: number[];
  /** By sender: the parts of a line that is not complete. */
  private readonly incomplete: Uint8Array[][];

  constructor(
    state: ProcessState,
    workerIndex: number,
    workerCount: number,
    deliver: (session: Session, lines: Uint8Array) => void,
    wakeWorker: (worker: number) => void,
  ) {
    this.state = state;
    this.control = state.control;
    this.clients = state.clients;
    this.workerIndex = workerIndex;
    this.workerCount = workerCount;
    this.deliver = deliver;
    this.wakeWorker = wakeWorker;
    this.backlogs = Array.from({ length: workerCount }, () => []);
    this.backlogBytes = new Array(workerCount).fill(0);
    this.incomplete = Array.from({ length: workerCount }, () => []);
  }

  /** Puts a session of this worker into monitor mode. */
  enter(session: Session): void {
    session.isMonitor = true;
    this.sessions.add(session);
    this.control.addMonitors(this.workerIndex, 1);
  }

  /** The session leaves monitor mode, or closes. */
  leave(session: Session): void {
    if (!session.isMonitor) return;
    session.isMonitor = false;
    this.sessions.delete(session);
    this.control.addMonitors(this.workerIndex, -1);
  }

  /**
   * Adds a line for the command whose request the context holds: time, database, client, arguments. `client`
   * stands for the client's address where a command is run on its behalf.
   */
  append(context: CommandContext, command: Command, client = ''): void {
    const { session } = context;
    const microseconds = Math.floor((performance.timeOrigin + performance.now()) * 1000);
    const fraction = String(microseconds % 1_000_000).padStart(6, '0');
    this.appendText(
      `+${Math.floor(microseconds / 1_000_000)}.${fraction} [${session.database} ${client || clientName(context)}]`,
    );
    const secrets = secretArguments(context, command);
    for (let index = 0; index < context.argCount; index++) {
      if (secrets.includes(index)) {
        this.reserve(REDACTED.length + 1);
        this.lines[this.length++] = 0x20;
        this.lines.set(REDACTED, this.length);
        this.length += REDACTED.length;
      } else {
        this.appendArgument(context.bytes, context.argOffset(index), context.argLength(index));
      }
    }
    this.appendText('\r\n');
  }

  private appendArgument(bytes: Uint8Array, offset: number, lengthBytes: number): void {
    this.reserve(4 * lengthBytes + 3);
    const { lines } = this;
    let at = this.length;
    lines[at++] = 0x20;
    lines[at++] = 0x22;
    for (let index = offset; index < offset + lengthBytes; index++) {
      const byte = bytes[index];
      if (ESCAPES[byte] !== 0) {
        lines[at++] = 0x5c;
        lines[at++] = ESCAPES[byte];
      } else if (byte >= 0x20 && byte < 0x7f) {
        lines[at++] = byte;
      } else {
        lines[at++] = 0x5c;
        lines[at++] = 0x78;
        lines[at++] = HEXADECIMAL.charCodeAt(byte >> 4);
        lines[at++] = HEXADECIMAL.charCodeAt(byte & 15);
      }
    }
    lines[at++] = 0x22;
    this.length = at;
  }

  private appendText(text: string): void {
    this.reserve(text.length);
    for (let index = 0; index < text.length; index++) this.lines[this.length++] = text.charCodeAt(index);
  }

  private reserve(lengthBytes: number): void {
    if (this.length + lengthBytes <= this.lines.length) return;
    const larger = new Uint8Array(Math.max(2 * this.lines.length, this.length + lengthBytes));
    larger.set(this.lines.subarray(0, this.length));
    this.lines = larger;
  }

  /** Whether lines wait to be sent. */
  get hasLines(): boolean {
    return this.length > 0;
  }

  /** Sends what was gathered to all workers that have monitors. */
  flush(): void {
    const { length, lines } = this;
    if (length === 0) return;
    this.length = 0;
    for (let worker = 0; worker < this.workerCount; worker++) {
      if (this.control.monitorsOf(worker) === 0) continue;
      for (let at = 0; at < length; at += MESSAGE_BYTES_MAX) {
        const end = Math.min(length, at + MESSAGE_BYTES_MAX);
        const part = (at === 0 ? Part.First : 0) | (end === length ? Part.Last : 0);
        this.send(worker, lines.subarray(at, end), part);
      }
    }
    if (lines.length > LINES_BYTES_KEPT_MAX) this.lines = new Uint8Array(LINES_BYTES_INITIAL);
  }

  private send(worker: number, payload: Uint8Array, part: number): void {
    const backlog = this.backlogs[worker];
    if (backlog.length === 0 && this.put(worker, payload, part)) return;
    this.backlogBytes[worker] += payload.length;
    if (this.backlogBytes[worker] > BACKLOG_BYTES_MAX) this.giveUp(worker);
    else backlog.push({ payload: payload.slice(), part });
  }

  private put(worker: number, payload: Uint8Array, part: number): boolean {
    const mailbox = this.state.mailboxes[worker];
    return mailbox.send(MessageKind.MonitorLine, 0, this.workerIndex, part, 0, payload);
  }

  /** Closes a worker's monitors, which do not keep up. */
  private giveUp(worker: number): void {
    this.dropBacklog(worker);
    for (const slot of this.clients.monitorSlots(worker)) {
      this.clients.requestKill(slot, this.clients.id(slot));
    }
    this.wakeWorker(worker);
  }

  private dropBacklog(worker: number): void {
    this.backlogs[worker].length = 0;
    this.backlogBytes[worker] = 0;
  }

  /** Tries again what mailboxes had no room for. Call it now and then. */
  retry(): void {
    for (let worker = 0; worker < this.workerCount; worker++) {
      const backlog = this.backlogs[worker];
      if (backlog.length === 0) continue;
      if (this.control.monitorsOf(worker) === 0) {
        this.dropBacklog(worker);
        continue;
      }
      let sent = 0;
      while (sent < backlog.length && this.put(worker, backlog[sent].payload, backlog[sent].part)) {
        this.backlogBytes[worker] -= backlog[sent].payload.length;
        sent++;
      }
      backlog.splice(0, sent);
    }
  }

  /** Takes a message of kind MonitorLine: this worker's monitors get its lines once they are complete. */
  receive({ first: sender, second: part, payload }: Message): void {
    const parts = this.incomplete[sender];
    if ((part & Part.First) !== 0) parts.length = 0;
    parts.push(payload);
    if ((part & Part.Last) === 0) return;
    const lines = parts.length === 1 ? payload : Buffer.concat(parts);
    parts.length = 0;
    for (const session of [...this.sessions]) this.deliver(session, lines);
  }
}

/** The client as a line names it: its address, or the path of the socket it came through. */
function clientName(context: CommandContext): string {
  const { session, services } = context;
  const address = session.connection.peerAddress();
  return address === '' ? `unix:${services.config.unixSocket}` : address;
}
