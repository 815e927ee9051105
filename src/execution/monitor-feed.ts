/**
 * Brings the lines of MONITOR from the workers that run commands to the workers that have monitors.
 *
 * While nobody monitors, a command costs one look at one word (`ControlBlock.monitorCount`). Otherwise each
 * worker gathers its lines and, once the commands of a read have run, sends them to every worker with monitors, its
 * own included. If a worker does not keep up, its monitors are closed: one that misses lines would mislead.
 */

import type { ClientTable } from '../state/client-table.js';
import type { ControlBlock } from '../state/control-block.js';
import { type Message, MessageKind } from '../state/mail.js';
import type { ProcessState } from '../state/process-state.js';
import { wallMicroseconds } from '../system/clock.js';
import { secretArguments } from './command-logs.js';
import type { CommandContext } from './context.js';
import type { Session } from './session.js';
import type { Command } from './table/command-table.js';

const LINES_BYTES_INITIAL = 4 * 1024;
const LINES_BYTES_KEPT_MAX = 1024 * 1024;
/** Limit of the bytes that wait for one worker to take them. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;

const REDACTED = Buffer.from('"(redacted)"', 'latin1');
const HEXADECIMAL = '0123456789abcdef';
/** The character that follows the backslash, by byte; 0 for bytes that are shown otherwise. */
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
  private readonly deliver: (session: Session, bytes: Uint8Array, offset: number, length: number) => void;
  private readonly wakeWorker: (worker: number) => void;
  private readonly sessions = new Set<Session>();
  /** Lines of this worker's commands since the last `flush`. */
  private lines = new Uint8Array(LINES_BYTES_INITIAL);
  private length = 0;

  constructor(
    state: ProcessState,
    workerIndex: number,
    workerCount: number,
    deliver: (session: Session, bytes: Uint8Array, offset: number, length: number) => void,
    wakeWorker: (worker: number) => void,
  ) {
    this.state = state;
    this.control = state.control;
    this.clients = state.clients;
    this.workerIndex = workerIndex;
    this.workerCount = workerCount;
    this.deliver = deliver;
    this.wakeWorker = wakeWorker;
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
    const microseconds = wallMicroseconds();
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
      if (this.state.mail.pendingBytes(worker) > BACKLOG_BYTES_MAX) this.giveUp(worker);
      else this.state.outbox.send(worker, MessageKind.MonitorLines, 0, 0, 0, 0, lines, 0, length);
    }
    if (lines.length > LINES_BYTES_KEPT_MAX) this.lines = new Uint8Array(LINES_BYTES_INITIAL);
  }

  /** Closes a worker's monitors, which do not keep up. */
  private giveUp(worker: number): void {
    for (const slot of this.clients.monitorSlots(worker)) {
      this.clients.requestKill(slot, this.clients.id(slot));
    }
    this.wakeWorker(worker);
  }

  /** Takes a message of kind MonitorLines: this worker's monitors get them. */
  receive({ bytes, offset, length }: Message): void {
    for (const session of [...this.sessions]) this.deliver(session, bytes, offset, length);
  }
}

/** The client as a line names it: its address, or the path of the socket it came through. */
function clientName(context: CommandContext): string {
  const { session, services } = context;
  const address = session.connection.peerAddress();
  return address === '' ? `unix:${services.config.unixSocket}` : address;
}
