/**
 * The table of all connections of the process, one fixed row each, in shared memory: any worker answers
 * CLIENT LIST or finds the victims of CLIENT KILL without asking the others.
 *
 * The worker that owns a connection stores figures into its row without a lock: each is one aligned word
 * and stands for itself. Opening, closing and the texts change under the row's lock, which readers take
 * too, so no reader sees half a name or the addresses of two clients.
 *
 *   header, int32 words
 *     0 lock of the free list    1 first free row + 1    2 rows ever used    3 rows open
 *     4 workers that have had connections: all are below this number
 *     16...  one word per worker: some row of this worker has a request (see requestKill)
 *   float64 from byte 8192, a cache line per worker, see Sum: memory of its clients, of those that may be evicted, of
 *     those that have not authenticated, and how many these are
 *   float64 from byte 73,728: the largest input and output buffers of the last seconds, RECENT_SECONDS of each
 *   free list: one int32 per row: next free row + 1
 *   rows of 1,024 bytes
 *     0    int32 words, see ClientWord
 *     128  float64 figures, see ClientFigure
 *     256  texts, see TEXTS: each in a field of its own, its length in a word
 *     992  float64 address of the TLS session, which the owner may free at any time; 0 for none
 *     1000 float64 position in the journal after its last write, as the thread left it that had the connection before
 *
 * The rows are reserved for the highest possible maxclients; the operating system gives memory only to
 * rows that were used.
 */

import { Attention } from '../memory/attention.js';
import { acquireLock, releaseLock } from '../memory/lock.js';

export const CLIENT_ROWS_MAX = 65_536;
const WORKERS_MAX = 1024;

const enum Header {
  Lock = 0,
  FirstFree = 1,
  RowsUsed = 2,
  RowsOpen = 3,
  Workers = 4,
  Requests = 16,
}

/** In units of 8 bytes. */
const MEMORY_SUMS = 1024;
/** Distance between the sums of two workers, so that they do not write to the same cache line. */
const SUMS_STRIDE = 8;
/** The sums of a worker. */
const enum Sum {
  Memory = 0,
  Evictable = 1,
  Unauthenticated = 2,
  UnauthenticatedCount = 3,
}
const RECENT_PEAKS = MEMORY_SUMS + SUMS_STRIDE * WORKERS_MAX;
/** How long the largest buffers are remembered, as in Redis. */
const RECENT_SECONDS = 8;
const FREE_LIST_WORD = 2 * (RECENT_PEAKS + 2 * RECENT_SECONDS);
const ROW_BYTES = 1024;
const ROW_WORDS = ROW_BYTES / 4;
const ROW_DOUBLES = ROW_BYTES / 8;
const FIGURES_OFFSET = 128;
const TEXTS_OFFSET = 256;
/** In units of 8 bytes. */
const TLS_SESSION_FIGURE = 124;
const WRITTEN_UNTIL_FIGURE = 125;

/** Whether somebody has asked a client's worker to close it. */
const enum KillRequest {
  None = 0,
  Pending = 1,
  /** The request has also ended the client's wait for keys, so that it is not served any more. */
  EndedWait = 2,
}

/** The int32 words of a row that its owner stores at will. */
export const enum ClientWord {
  Lock = 0,
  IsOpen = 1,
  Worker = 2,
  Fd = 3,
  Database = 4,
  /** Bits of ClientFlag. */
  Flags = 5,
  /** 2 or 3. */
  Protocol = 6,
  /** Commands queued since MULTI, -1 outside a transaction. */
  Multi = 7,
  Watched = 8,
  Subscriptions = 9,
  PatternSubscriptions = 10,
  ShardSubscriptions = 11,
  /** -1 before the first command. */
  LastCommandId = 12,
  ReplyMode = 13,
  /** One of KillRequest. */
  KillRequest = 14,
  /** The ticket of a client that waits for keys is odd; claiming it makes it even. */
  WaitTicket = 15,
  /** Client id that tracking redirects to, -1 for none. */
  Redirect = 16,
  /** The version of TLS, as in the protocol; 0 without TLS. */
  TlsVersion = 17,
  /** How much of a TLS record had come when the connection went to another thread. */
  TlsRecord = 18,
  /** The id of the user that the client is. */
  User = 20,
  /** Who may write the reply to a client that waits: one of DirectReply, or its socket's descriptor and one. */
  DirectReply = 21,
  /** The number of the wait of a client that waits for confirmations (WAIT) is odd; claiming it makes it even. */
  ConfirmationWait = 22,
  /** Lengths of the texts, in the order of ClientText. */
  TextLengths = 24,
}

/** Who writes the reply to a client that waits for keys. */
const enum DirectReply {
  /** Its own worker. */
  None = 0,
  /** The thread that has served it, now. */
  Sending = -1,
  /** That thread has. */
  Sent = -2,
}

/** Between looks whether another thread has done with a socket. */
const SENDING_MS_MAX = 1;

/** The float64 figures of a row. Sizes are in bytes. */
export const enum ClientFigure {
  Id = 0,
  CreatedMs = 1,
  LastInteractionMs = 2,
  QueryBuffer = 3,
  QueryBufferFree = 4,
  ArgumentMemory = 5,
  MultiMemory = 6,
  ReplyBufferSize = 7,
  ReplyBufferPeak = 8,
  OutputBufferLength = 9,
  OutputListLength = 10,
  OutputMemory = 11,
  TotalMemory = 12,
  BytesIn = 13,
  BytesOut = 14,
  Commands = 15,
}

/** The letters of CLIENT LIST's `flags`, in the order in which they are shown. */
export const enum ClientFlag {
  Monitor = 1 << 0,
  Replica = 1 << 1,
  Master = 1 << 2,
  PubSub = 1 << 3,
  Multi = 1 << 4,
  Blocked = 1 << 5,
  Tracking = 1 << 6,
  TrackingBrokenRedirect = 1 << 7,
  TrackingBroadcast = 1 << 8,
  DirtyCas = 1 << 9,
  CloseAfterReply = 1 << 10,
  Unblocked = 1 << 11,
  CloseSoon = 1 << 12,
  UnixSocket = 1 << 13,
  ReadOnly = 1 << 14,
  NoEvict = 1 << 15,
  NoTouch = 1 << 16,
}

/** Clients that `maxmemory-clients` spares. */
const NOT_EVICTED_FLAGS = ClientFlag.NoEvict | ClientFlag.Replica | ClientFlag.Master;

const FLAG_LETTERS = 'OSMPxbtRBdcuAUreT';
/** What a filter by flags may ask for: also the import sources of Valkey, which no client is, and "no flag". */
export const CLIENT_FLAG_LETTERS = `${FLAG_LETTERS}IN`;

export const enum ClientText {
  Address = 0,
  LocalAddress = 1,
  Name = 2,
  LibraryName = 3,
  LibraryVersion = 4,
  User = 5,
}

/** Field sizes in bytes; a longer text is cut. */
const TEXT_BYTES_MAX = [112, 112, 256, 96, 64, 96];
const TEXT_OFFSETS = TEXT_BYTES_MAX.map((_, index) =>
  TEXT_BYTES_MAX.slice(0, index).reduce((sum, bytes) => sum + bytes, TEXTS_OFFSET),
);

const TEXT_TRAITS = [
  ['address', ClientText.Address],
  ['localAddress', ClientText.LocalAddress],
  ['user', ClientText.User],
  ['name', ClientText.Name],
  ['libraryName', ClientText.LibraryName],
  ['libraryVersion', ClientText.LibraryVersion],
] as const;

export type ClientType = 'normal' | 'master' | 'replica' | 'pubsub';

/** What a client may be or have; an absent field says nothing. */
export interface ClientTraits {
  ids?: ReadonlySet<number>;
  type?: ClientType;
  address?: string;
  localAddress?: string;
  /** The address without its port. */
  ip?: string;
  user?: string;
  name?: string;
  libraryName?: string;
  libraryVersion?: string;
  database?: number;
  /** Letters as CLIENT LIST shows them: the client has all of them. */
  flags?: string;
  /** Letters of what the client has said that it can do (CLIENT CAPA, which is not there: no client has any). */
  capabilities?: string;
}

/** What CLIENT LIST and CLIENT KILL select by. */
export interface ClientFilter extends ClientTraits {
  /** Clients with one of these traits are left out. */
  not?: ClientTraits;
  /** Only clients that are at least so many seconds old. */
  ageSecondsMin?: number;
  /** Only clients that have sent nothing for at least so many seconds. */
  idleSecondsMin?: number;
  /** All but this client. */
  skipId?: number;
}

export interface ClientTableHandle {
  readonly buffer: SharedArrayBuffer;
  readonly attention: SharedArrayBuffer;
  readonly rows: number;
}

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

export class ClientTable {
  private readonly attention: Attention;
  readonly handle: ClientTableHandle;
  /** Word `w` of row `slot` is words[wordBase(slot) + w]. */
  readonly words: Int32Array;
  /** Figure `f` of row `slot` is figures[figureBase(slot) + f]. */
  readonly figures: Float64Array;
  private readonly bytes: Uint8Array;
  private readonly rowsOffset: number;

  constructor(handle: ClientTableHandle) {
    this.handle = handle;
    this.attention = new Attention(handle.attention);
    this.words = new Int32Array(handle.buffer);
    this.figures = new Float64Array(handle.buffer);
    this.bytes = new Uint8Array(handle.buffer);
    this.rowsOffset = rowsOffset(handle.rows);
  }

  static create(attention: SharedArrayBuffer, rows = CLIENT_ROWS_MAX): ClientTableHandle {
    return { buffer: new SharedArrayBuffer(rowsOffset(rows) + rows * ROW_BYTES), attention, rows };
  }

  wordBase(slot: number): number {
    return (this.rowsOffset >> 2) + slot * ROW_WORDS;
  }

  figureBase(slot: number): number {
    return ((this.rowsOffset + FIGURES_OFFSET) >> 3) + slot * ROW_DOUBLES;
  }

  /** Connections open now. */
  get count(): number {
    return Atomics.load(this.words, Header.RowsOpen);
  }

  /** Takes a row for a new connection; -1 if there is none left. */
  open(id: number, worker: number, fd: number, address: string, localAddress: string, nowMs: number): number {
    const slot = this.takeRow(worker);
    if (slot < 0) return -1;
    const { words, figures } = this;
    const base = this.wordBase(slot);
    acquireLock(words, base + ClientWord.Lock);
    const ticket = words[base + ClientWord.WaitTicket];
    words.fill(0, base + ClientWord.IsOpen, base + FIGURES_OFFSET / 4);
    // Keep the ticket: a waiter of the row's previous client must not be taken for one of this client.
    words[base + ClientWord.WaitTicket] = ticket;
    const figureBase = this.figureBase(slot);
    figures.fill(0, figureBase, figureBase + ClientFigure.Commands + 1);
    figures[figureBase + ClientFigure.Id] = id;
    figures[figureBase + ClientFigure.CreatedMs] = nowMs;
    figures[figureBase + ClientFigure.LastInteractionMs] = nowMs;
    figures[base / 2 + TLS_SESSION_FIGURE] = 0;
    words[base + ClientWord.Worker] = worker;
    words[base + ClientWord.Fd] = fd;
    words[base + ClientWord.Protocol] = 2;
    words[base + ClientWord.Multi] = -1;
    words[base + ClientWord.LastCommandId] = -1;
    words[base + ClientWord.Redirect] = -1;
    this.putText(slot, ClientText.Address, address);
    this.putText(slot, ClientText.LocalAddress, localAddress);
    this.putText(slot, ClientText.User, 'default');
    words[base + ClientWord.IsOpen] = 1;
    releaseLock(words, base + ClientWord.Lock);
    return slot;
  }

  /** Notes that the connection uses TLS; a thread that takes it over finds the address of the session here. */
  setTls(slot: number, version: number, session: number): void {
    this.words[this.wordBase(slot) + ClientWord.TlsVersion] = version;
    this.figures[this.wordBase(slot) / 2 + TLS_SESSION_FIGURE] = session;
  }

  /** Notes how much of a TLS record has come, for the thread that the connection goes to. */
  setTlsRecord(slot: number, record: number): void {
    this.words[this.wordBase(slot) + ClientWord.TlsRecord] = record;
  }

  tlsRecord(slot: number): number {
    return this.words[this.wordBase(slot) + ClientWord.TlsRecord];
  }

  /** The address of a client's TLS session, 0 for none. */
  tlsSession(slot: number): number {
    return this.figures[this.wordBase(slot) / 2 + TLS_SESSION_FIGURE];
  }

  /** Notes where a client's last write ends in the journal, for the thread that its connection goes to. */
  setWrittenUntil(slot: number, position: number): void {
    this.figures[this.wordBase(slot) / 2 + WRITTEN_UNTIL_FIGURE] = position;
  }

  writtenUntil(slot: number): number {
    return this.figures[this.wordBase(slot) / 2 + WRITTEN_UNTIL_FIGURE];
  }

  /** Whether a row holds all of such a text. */
  static holds(field: ClientText, text: string): boolean {
    const bytesMax = TEXT_BYTES_MAX[field];
    // A character has at most three bytes, or four if it is two units.
    return text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax;
  }

  private takeRow(worker: number): number {
    const { words } = this;
    acquireLock(words, Header.Lock);
    let slot = words[Header.FirstFree] - 1;
    if (slot >= 0) words[Header.FirstFree] = words[FREE_LIST_WORD + slot];
    else if (words[Header.RowsUsed] < this.handle.rows) slot = words[Header.RowsUsed]++;
    if (slot >= 0) words[Header.RowsOpen]++;
    if (words[Header.Workers] <= worker) words[Header.Workers] = worker + 1;
    releaseLock(words, Header.Lock);
    return slot;
  }

  /** From now on another worker owns the connection. */
  assign(slot: number, worker: number): void {
    const { words } = this;
    const base = this.wordBase(slot);
    acquireLock(words, Header.Lock);
    if (words[Header.Workers] <= worker) words[Header.Workers] = worker + 1;
    releaseLock(words, Header.Lock);
    acquireLock(words, base + ClientWord.Lock);
    words[base + ClientWord.Worker] = worker;
    releaseLock(words, base + ClientWord.Lock);
  }

  /** The connection is gone. */
  close(slot: number): void {
    const { words } = this;
    const base = this.wordBase(slot);
    acquireLock(words, base + ClientWord.Lock);
    words[base + ClientWord.IsOpen] = 0;
    releaseLock(words, base + ClientWord.Lock);
    acquireLock(words, Header.Lock);
    words[FREE_LIST_WORD + slot] = words[Header.FirstFree];
    words[Header.FirstFree] = slot + 1;
    words[Header.RowsOpen]--;
    releaseLock(words, Header.Lock);
  }

  setText(slot: number, field: ClientText, text: string): void {
    const lock = this.wordBase(slot) + ClientWord.Lock;
    acquireLock(this.words, lock);
    this.putText(slot, field, text);
    releaseLock(this.words, lock);
  }

  private putText(slot: number, field: ClientText, text: string): void {
    const encoded = textEncoder.encode(text);
    const length = Math.min(encoded.length, TEXT_BYTES_MAX[field]);
    const offset = this.rowsOffset + slot * ROW_BYTES + TEXT_OFFSETS[field];
    for (let at = 0; at < length; at++) this.bytes[offset + at] = encoded[at];
    this.words[this.wordBase(slot) + ClientWord.TextLengths + field] = length;
  }

  text(slot: number, field: ClientText): string {
    const lock = this.wordBase(slot) + ClientWord.Lock;
    acquireLock(this.words, lock);
    const text = this.readText(slot, field);
    releaseLock(this.words, lock);
    return text;
  }

  private readText(slot: number, field: ClientText): string {
    const offset = this.rowsOffset + slot * ROW_BYTES + TEXT_OFFSETS[field];
    const length = this.words[this.wordBase(slot) + ClientWord.TextLengths + field];
    return textDecoder.decode(this.bytes.slice(offset, offset + length));
  }

  id(slot: number): number {
    return this.figures[this.figureBase(slot) + ClientFigure.Id];
  }

  /** The clients that fit a filter and are not about to be killed, as slots in the order of their ids. */
  select(filter: ClientFilter, nowMs: number): number[] {
    const { words } = this;
    const slots: number[] = [];
    const used = Atomics.load(words, Header.RowsUsed);
    for (let slot = 0; slot < used; slot++) {
      const base = this.wordBase(slot);
      if (Atomics.load(words, base + ClientWord.IsOpen) === 0) continue;
      acquireLock(words, base + ClientWord.Lock);
      const isThere =
        words[base + ClientWord.IsOpen] === 1 && words[base + ClientWord.KillRequest] === KillRequest.None;
      if (isThere && this.fits(slot, filter, nowMs)) slots.push(slot);
      releaseLock(words, base + ClientWord.Lock);
    }
    return slots.sort((one, other) => this.id(one) - this.id(other));
  }

  private fits(slot: number, filter: ClientFilter, nowMs: number): boolean {
    const { figures } = this;
    const base = this.figureBase(slot);
    const { ageSecondsMin, idleSecondsMin, skipId, not } = filter;
    if (skipId === figures[base + ClientFigure.Id]) return false;
    if (ageSecondsMin !== undefined) {
      if (Math.floor((nowMs - figures[base + ClientFigure.CreatedMs]) / 1000) < ageSecondsMin) return false;
    }
    if (idleSecondsMin !== undefined) {
      const idleMs = nowMs - figures[base + ClientFigure.LastInteractionMs];
      if (Math.floor(idleMs / 1000) < idleSecondsMin) return false;
    }
    return this.agrees(slot, filter, true) && (not === undefined || this.agrees(slot, not, false));
  }

  /** Whether a client has all of the traits; with `hasThem` false, whether it has none of them. */
  private agrees(slot: number, traits: ClientTraits, hasThem: boolean): boolean {
    const { words } = this;
    const base = this.wordBase(slot);
    const { ids, type, ip, database, flags, capabilities } = traits;
    if (ids !== undefined && ids.has(this.id(slot)) !== hasThem) return false;
    const flagBits = words[base + ClientWord.Flags];
    if (type !== undefined && (clientType(flagBits) === type) !== hasThem) return false;
    if (database !== undefined && (words[base + ClientWord.Database] === database) !== hasThem) return false;
    if (flags !== undefined) {
      const letters = flagLetters(flagBits);
      if ([...flags].every((letter) => letters.includes(letter)) !== hasThem) return false;
    }
    if (capabilities !== undefined && (capabilities === '') !== hasThem) return false;
    if (ip !== undefined && (ipOf(this.readText(slot, ClientText.Address)) === ip) !== hasThem) return false;
    return TEXT_TRAITS.every(([trait, field]) => {
      const text = traits[trait];
      return text === undefined || this.hasText(slot, field, text) === hasThem;
    });
  }

  /** Whether a client has a text, which is not empty, in a field. */
  private hasText(slot: number, field: ClientText, text: string): boolean {
    if (text === '') return false;
    const encoded = textEncoder.encode(text);
    const bytesMax = TEXT_BYTES_MAX[field];
    const stored = encoded.length <= bytesMax ? text : textDecoder.decode(encoded.subarray(0, bytesMax));
    return this.readText(slot, field) === stored;
  }

  /**
   * One line of CLIENT LIST, as Redis 7.0 formats it, without the line feed; '' if the connection is
   * gone. At the end follow the library's name and version if the client has given them (Redis 7.2), and the version of
   * TLS of a client that speaks it.
   */
  formatLine(slot: number, nowMs: number, commandName: (id: number) => string): string {
    const { words, figures } = this;
    const base = this.wordBase(slot);
    const at = this.figureBase(slot);
    acquireLock(words, base + ClientWord.Lock);
    if (words[base + ClientWord.IsOpen] === 0) {
      releaseLock(words, base + ClientWord.Lock);
      return '';
    }
    const age = Math.max(0, Math.floor((nowMs - figures[at + ClientFigure.CreatedMs]) / 1000));
    const idle = Math.max(0, Math.floor((nowMs - figures[at + ClientFigure.LastInteractionMs]) / 1000));
    const commandId = words[base + ClientWord.LastCommandId];
    const outputMemory = figures[at + ClientFigure.OutputMemory];
    let line =
      `id=${figures[at + ClientFigure.Id]} addr=${this.readText(slot, ClientText.Address)}` +
      ` laddr=${this.readText(slot, ClientText.LocalAddress)} fd=${words[base + ClientWord.Fd]}` +
      ` name=${this.readText(slot, ClientText.Name)} age=${age} idle=${idle}` +
      ` flags=${flagLetters(words[base + ClientWord.Flags])} db=${words[base + ClientWord.Database]}` +
      ` sub=${words[base + ClientWord.Subscriptions]}` +
      ` psub=${words[base + ClientWord.PatternSubscriptions]}` +
      ` ssub=${words[base + ClientWord.ShardSubscriptions]} multi=${words[base + ClientWord.Multi]}` +
      ` qbuf=${figures[at + ClientFigure.QueryBuffer]}` +
      ` qbuf-free=${figures[at + ClientFigure.QueryBufferFree]}` +
      ` argv-mem=${figures[at + ClientFigure.ArgumentMemory]}` +
      ` multi-mem=${figures[at + ClientFigure.MultiMemory]}` +
      ` rbs=${figures[at + ClientFigure.ReplyBufferSize]}` +
      ` rbp=${figures[at + ClientFigure.ReplyBufferPeak]}` +
      ` obl=${figures[at + ClientFigure.OutputBufferLength]}` +
      ` oll=${figures[at + ClientFigure.OutputListLength]} omem=${outputMemory}` +
      ` tot-mem=${figures[at + ClientFigure.TotalMemory]} events=${outputMemory > 0 ? 'rw' : 'r'}` +
      ` cmd=${commandId < 0 ? 'NULL' : commandName(commandId)}` +
      ` user=${this.readText(slot, ClientText.User)} redir=${words[base + ClientWord.Redirect]}` +
      ` resp=${words[base + ClientWord.Protocol]}`;
    const lengths = base + ClientWord.TextLengths;
    if (words[lengths + ClientText.LibraryName] + words[lengths + ClientText.LibraryVersion] > 0) {
      line += ` lib-name=${this.readText(slot, ClientText.LibraryName)}`;
      line += ` lib-ver=${this.readText(slot, ClientText.LibraryVersion)}`;
    }
    const tlsVersion = words[base + ClientWord.TlsVersion];
    if (tlsVersion !== 0) line += ` tls=${tlsVersionText(tlsVersion)}`;
    releaseLock(words, base + ClientWord.Lock);
    return line;
  }

  /** The lines of all clients that fit, each with a line feed. */
  formatList(filter: ClientFilter, nowMs: number, commandName: (id: number) => string): string {
    let text = '';
    for (const slot of this.select(filter, nowMs)) {
      const line = this.formatLine(slot, nowMs, commandName);
      if (line !== '') text += `${line}\n`;
    }
    return text;
  }

  /** The rows of a worker's clients that are in MONITOR. */
  monitorSlots(worker: number): number[] {
    const { words } = this;
    const slots: number[] = [];
    const used = Atomics.load(words, Header.RowsUsed);
    for (let slot = 0; slot < used; slot++) {
      const base = this.wordBase(slot);
      if (Atomics.load(words, base + ClientWord.IsOpen) === 0) continue;
      const isMonitor = (words[base + ClientWord.Flags] & ClientFlag.Monitor) !== 0;
      if (isMonitor && words[base + ClientWord.Worker] === worker) slots.push(slot);
    }
    return slots;
  }

  /**
   * Asks the owner of a connection to close it. Returns the worker to wake, -1 if this client is gone.
   * The request stays in the row until its owner sees it, so a wake-up that comes late loses nothing.
   * If the client waits for keys, it gets nothing from now on.
   */
  requestKill(slot: number, id: number): number {
    const { words } = this;
    const base = this.wordBase(slot);
    acquireLock(words, base + ClientWord.Lock);
    const isThere = words[base + ClientWord.IsOpen] === 1 && this.id(slot) === id;
    const worker = isThere ? words[base + ClientWord.Worker] : -1;
    if (isThere) {
      Atomics.compareExchange(words, base + ClientWord.KillRequest, KillRequest.None, KillRequest.Pending);
      this.endWaitOfKilled(slot, words[base + ClientWord.WaitTicket]);
      Atomics.store(words, Header.Requests + worker, 1);
      this.attention.raise(worker);
    }
    releaseLock(words, base + ClientWord.Lock);
    return worker;
  }

  /** The worker that has a client's connection. */
  worker(slot: number): number {
    return this.words[this.wordBase(slot) + ClientWord.Worker];
  }

  /** A client begins to wait for keys. Returns a ticket; only the thread that claims it ends the wait. */
  beginWait(slot: number): number {
    const { words } = this;
    const base = this.wordBase(slot);
    const ticket = (words[base + ClientWord.WaitTicket] + 1) | 1;
    words[base + ClientWord.DirectReply] = DirectReply.None;
    Atomics.store(words, base + ClientWord.WaitTicket, ticket);
    // A request to kill it that comes later finds the ticket.
    if (this.isKillRequested(slot)) this.endWaitOfKilled(slot, ticket);
    return ticket;
  }

  private endWaitOfKilled(slot: number, ticket: number): void {
    if ((ticket & 1) === 0 || !this.claimWait(slot, ticket)) return;
    Atomics.store(this.words, this.wordBase(slot) + ClientWord.KillRequest, KillRequest.EndedWait);
  }

  /** Whether the request to kill a client has ended its wait: no message will tell of that. */
  isWaitEndedByKill(slot: number): boolean {
    const { words } = this;
    const base = this.wordBase(slot);
    if (Atomics.load(words, base + ClientWord.KillRequest) === KillRequest.None) return false;
    // Who asks for it says so under the row's lock, right after ending the wait.
    acquireLock(words, base + ClientWord.Lock);
    const request = words[base + ClientWord.KillRequest];
    releaseLock(words, base + ClientWord.Lock);
    return request === KillRequest.EndedWait;
  }

  /** Claims a ticket; false if it was claimed before. */
  claimWait(slot: number, ticket: number): boolean {
    const word = this.wordBase(slot) + ClientWord.WaitTicket;
    return Atomics.compareExchange(this.words, word, ticket, ticket + 1) === ticket;
  }

  /** For the worker of a client that waits and has been sent all replies so far: who serves it may write the next to its socket. */
  allowDirectReply(slot: number, fd: number): void {
    Atomics.store(this.words, this.wordBase(slot) + ClientWord.DirectReply, fd + 1);
  }

  /**
   * For the thread that has claimed this ticket and served the client: its socket, until `endDirectReply`, which has to follow; -1 if only
   * its worker may write to it.
   */
  beginDirectReply(slot: number, ticket: number): number {
    const { words } = this;
    const base = this.wordBase(slot);
    const word = base + ClientWord.DirectReply;
    const value = Atomics.load(words, word);
    if (value <= DirectReply.None) return -1;
    if (Atomics.compareExchange(words, word, value, DirectReply.Sending) !== value) return -1;
    if (Atomics.load(words, base + ClientWord.WaitTicket) === ticket + 1) return value - 1;
    // That client has gone, and the next one of the row waits.
    Atomics.store(words, word, value);
    return -1;
  }

  endDirectReply(slot: number): void {
    Atomics.store(this.words, this.wordBase(slot) + ClientWord.DirectReply, DirectReply.Sent);
  }

  /**
   * For the worker of a client that waits or has waited: from now on no other thread writes to its socket. Waits for one that does so, which
   * is a system call that does not block. Returns whether one has.
   */
  forbidDirectReply(slot: number): boolean {
    const { words } = this;
    const word = this.wordBase(slot) + ClientWord.DirectReply;
    for (;;) {
      const value = Atomics.load(words, word);
      if (value === DirectReply.Sending) Atomics.wait(words, word, value, SENDING_MS_MAX);
      else if (value <= DirectReply.None) return value === DirectReply.Sent;
      else if (Atomics.compareExchange(words, word, value, DirectReply.None) === value) return false;
    }
  }

  /** Ends the wait of the client with this id, if it waits for keys. Returns whether it did. */
  claimWaitOf(slot: number, id: number): boolean {
    return this.claimOf(slot, id, ClientWord.WaitTicket) !== 0;
  }

  /** A client begins to wait for confirmations. Returns the number of this wait. */
  beginConfirmationWait(slot: number): number {
    const word = this.wordBase(slot) + ClientWord.ConfirmationWait;
    const wait = (this.words[word] + 1) | 1;
    Atomics.store(this.words, word, wait);
    return wait;
  }

  /** The wait is over, if no other thread has ended it. */
  endConfirmationWait(slot: number, wait: number): void {
    Atomics.compareExchange(this.words, this.wordBase(slot) + ClientWord.ConfirmationWait, wait, wait + 1);
  }

  /** Ends the wait of the client with this id, if it waits for confirmations: returns the number of the wait, 0 if it did not. */
  claimConfirmationWaitOf(slot: number, id: number): number {
    return this.claimOf(slot, id, ClientWord.ConfirmationWait);
  }

  /** Claims the ticket of a client, if its row still is that of this id: returns it, 0 if it does not wait. */
  private claimOf(slot: number, id: number, word: ClientWord): number {
    const { words } = this;
    const base = this.wordBase(slot);
    acquireLock(words, base + ClientWord.Lock);
    const ticket = words[base + word];
    const isThere = words[base + ClientWord.IsOpen] === 1 && this.id(slot) === id;
    const isClaimed =
      isThere &&
      (ticket & 1) === 1 &&
      Atomics.compareExchange(words, base + word, ticket, ticket + 1) === ticket;
    releaseLock(words, base + ClientWord.Lock);
    return isClaimed ? ticket : 0;
  }

  /** Whether rows of this worker got requests since the last call; if so, the worker looks through its rows. */
  takeRequests(worker: number): boolean {
    return (
      this.words[Header.Requests + worker] !== 0 &&
      Atomics.exchange(this.words, Header.Requests + worker, 0) !== 0
    );
  }

  /** Whether a row is that of a client that is not about to be closed. */
  isOpen(slot: number, id: number): boolean {
    const { words } = this;
    const base = this.wordBase(slot);
    if (Atomics.load(words, base + ClientWord.IsOpen) !== 1 || this.id(slot) !== id) return false;
    return !this.isKillRequested(slot) && (words[base + ClientWord.Flags] & ClientFlag.CloseAfterReply) === 0;
  }

  isKillRequested(slot: number): boolean {
    return Atomics.load(this.words, this.wordBase(slot) + ClientWord.KillRequest) !== KillRequest.None;
  }

  /** Moves the sums of a worker's clients; only that worker does. */
  addMemory(worker: number, bytes: number, evictableBytes: number, unauthenticatedBytes: number): void {
    const { figures } = this;
    const at = MEMORY_SUMS + SUMS_STRIDE * worker;
    figures[at + Sum.Memory] += bytes;
    figures[at + Sum.Evictable] += evictableBytes;
    figures[at + Sum.Unauthenticated] += unauthenticatedBytes;
  }

  /** Stores how many connections of a worker have not authenticated; only that worker calls it. */
  setUnauthenticatedCount(worker: number, count: number): void {
    this.figures[MEMORY_SUMS + SUMS_STRIDE * worker + Sum.UnauthenticatedCount] = count;
  }

  /** Connections that have not authenticated although they have to. */
  unauthenticatedCount(): number {
    return this.sumOverWorkers(Sum.UnauthenticatedCount);
  }

  /** Memory of these connections, in bytes. */
  unauthenticatedBytes(): number {
    return this.sumOverWorkers(Sum.Unauthenticated);
  }

  /** Memory of all clients, in bytes. */
  memoryBytes(): number {
    return this.sumOverWorkers(Sum.Memory);
  }

  /** Memory of the clients that may be evicted, in bytes. */
  evictableBytes(): number {
    return this.sumOverWorkers(Sum.Evictable);
  }

  private sumOverWorkers(column: Sum): number {
    let sum = 0;
    for (let worker = 0; worker < this.words[Header.Workers]; worker++) {
      sum += this.figures[MEMORY_SUMS + SUMS_STRIDE * worker + column];
    }
    return sum;
  }

  /** The clients to close so that those that may be evicted take `limitBytes` at most: the largest first. */
  evictionVictims(limitBytes: number): number[] {
    const { words, figures } = this;
    const candidates: number[] = [];
    let sum = 0;
    const used = Atomics.load(words, Header.RowsUsed);
    for (let slot = 0; slot < used; slot++) {
      const base = this.wordBase(slot);
      if (Atomics.load(words, base + ClientWord.IsOpen) === 0) continue;
      if (words[base + ClientWord.KillRequest] !== KillRequest.None) continue;
      if ((words[base + ClientWord.Flags] & NOT_EVICTED_FLAGS) !== 0) continue;
      candidates.push(slot);
      sum += figures[this.figureBase(slot) + ClientFigure.TotalMemory];
    }
    const sizeOf = (slot: number): number => figures[this.figureBase(slot) + ClientFigure.TotalMemory];
    candidates.sort((one, other) => sizeOf(other) - sizeOf(one));
    let count = 0;
    while (count < candidates.length && sum > limitBytes) sum -= sizeOf(candidates[count++]);
    return candidates.slice(0, count);
  }

  /** Notes sizes of buffers for `recentPeaks`; the second is that of a clock. */
  noteBuffers(second: number, inputBytes: number, outputBytes: number): void {
    const { figures } = this;
    const at = RECENT_PEAKS + 2 * (second % RECENT_SECONDS);
    if (inputBytes > figures[at]) figures[at] = inputBytes;
    if (outputBytes > figures[at + 1]) figures[at + 1] = outputBytes;
  }

  /** Begins a new second for `noteBuffers`: forgets what is too old. One thread calls it. */
  forgetOldPeaks(second: number): void {
    const at = RECENT_PEAKS + 2 * ((second + 1) % RECENT_SECONDS);
    this.figures[at] = 0;
    this.figures[at + 1] = 0;
  }

  /** The largest input and output buffers of the last seconds, in bytes. */
  recentPeaks(): [inputBytes: number, outputBytes: number] {
    let input = 0;
    let output = 0;
    for (let second = 0; second < RECENT_SECONDS; second++) {
      input = Math.max(input, this.figures[RECENT_PEAKS + 2 * second]);
      output = Math.max(output, this.figures[RECENT_PEAKS + 2 * second + 1]);
    }
    return [input, output];
  }

  /** The sum of a figure over all open connections, e.g. their memory. */
  sumFigure(figure: ClientFigure): number {
    let sum = 0;
    const used = Atomics.load(this.words, Header.RowsUsed);
    for (let slot = 0; slot < used; slot++) {
      if (Atomics.load(this.words, this.wordBase(slot) + ClientWord.IsOpen) === 0) continue;
      sum += this.figures[this.figureBase(slot) + figure];
    }
    return sum;
  }
}

function rowsOffset(rows: number): number {
  return Math.ceil(((FREE_LIST_WORD + rows) * 4) / ROW_BYTES) * ROW_BYTES;
}

function flagLetters(flags: number): string {
  let letters = '';
  for (let bit = 0; bit < FLAG_LETTERS.length; bit++) {
    if ((flags & (1 << bit)) !== 0) letters += FLAG_LETTERS[bit];
  }
  return letters === '' ? 'N' : letters;
}

/** The IP address in a client's address, '' for a Unix socket. */
function ipOf(address: string): string {
  const [, ip, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
  return ip === undefined || port === '0' ? '' : ip;
}

function clientType(flags: number): ClientType {
  if ((flags & ClientFlag.Master) !== 0) return 'master';
  if ((flags & ClientFlag.Replica) !== 0) return 'replica';
  return (flags & ClientFlag.PubSub) !== 0 ? 'pubsub' : 'normal';
}

/** 0x304 as "TLSv1.3". */
function tlsVersionText(version: number): string {
  const minor = (version & 0xff) - 1;
  return minor === 0 ? 'TLSv1' : `TLSv1.${minor}`;
}
