/**
 * Sends commands to another server and gathers its replies: what MIGRATE needs of the network.
 *
 * A worker waits in the kernel and turns Node's event loop only ten times a second, and it must never wait for a peer.
 * So a separate thread, started with the first transfer, has the sockets. It wakes the worker when a transfer is
 * finished, and also counts the finished ones in a word, for a worker that does nothing but wait.
 */

import { createRequire } from 'node:module';
import net from 'node:net';
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Config } from '../config/config.js';
import { readTlsSettings, type TlsSettings } from '../config/tls-settings.js';
import {
  type Transfer,
  TransferFailure,
  type TransferRequest,
  type TransferResult,
  type Transfers,
} from '../execution/transfers.js';
import { loadLibc } from '../system/libc.js';
import type { Log } from '../system/log.js';
import { startThread } from '../system/thread.js';
import { connectTls } from './tls/client-socket.js';
import { WorkerChannel } from './worker-channel.js';

interface TransferMessage {
  readonly id: number;
  readonly request: TransferRequest;
  /** Set if the other server is to be spoken to with TLS (`tls-cluster`). */
  readonly tls: TlsSettings | null;
}

interface TransferAnswer {
  readonly id: number;
  readonly result: TransferResult;
}

export interface TransferThreadOptions {
  readonly port: MessagePort;
  /** Two words: how many transfers are finished; 1 once the thread runs. */
  readonly progress: SharedArrayBuffer;
  /** The worker's channel. */
  readonly channel: SharedArrayBuffer;
}

/** Transfers of a worker at the same time, each with a socket; others wait for their turn. */
export const TRANSFERS_MAX = 4;

const enum Progress {
  Finished = 0,
  Running = 1,
}

/** How long a worker that is blocked by a transfer waits for the thread to start. */
const START_MS_MAX = 10_000;
const START_POLL_MS = 20;

/** The transfers of one worker. */
export class TransferThread implements Transfers {
  private readonly channel: SharedArrayBuffer;
  private readonly config: Config;
  private readonly log: Log;
  private readonly progress = new Int32Array(new SharedArrayBuffer(8));
  private readonly pending = new Map<number, Transfer>();
  private port: MessagePort | null = null;
  private lastId = 0;

  constructor(channel: SharedArrayBuffer, config: Config, log: Log) {
    this.channel = channel;
    this.config = config;
    this.log = log;
  }

  start(request: TransferRequest): Transfer {
    this.port ??= this.startThread();
    const transfer: Transfer = { id: ++this.lastId, result: null };
    this.pending.set(transfer.id, transfer);
    const usesTls = this.config.value('tls-cluster') === 'yes';
    const settings = usesTls ? readTlsSettings(this.config) : null;
    const message: TransferMessage = { id: transfer.id, request, tls: settings };
    this.port.postMessage(message, [request.preamble.buffer, request.commands.buffer]);
    return transfer;
  }

  private startThread(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    Atomics.store(this.progress, Progress.Running, 0);
    const workerData: TransferThreadOptions = {
      port: port2,
      progress: this.progress.buffer as SharedArrayBuffer,
      channel: this.channel,
    };
    const thread = startThread(new URL('../../workers/transfer.js', import.meta.url), {
      workerData,
      transferList: [port2],
      name: 'transfer',
    });
    thread.unref();
    thread.on('error', (error) => {
      if (this.port === port1) this.threadFailed(error.message);
    });
    return port1;
  }

  /** The thread could not start, or has ended, so all its transfers fail. The next one starts another thread. */
  private threadFailed(reason: string): void {
    this.log(`The thread that sends for MIGRATE has failed: ${reason}`, 'warning');
    this.port?.close();
    this.port = null;
    for (const transfer of this.pending.values()) {
      transfer.result = { failure: TransferFailure.Connecting, preambleError: '', replies: [] };
    }
    this.pending.clear();
  }

  collect(): void {
    if (this.port === null || this.pending.size === 0) return;
    for (;;) {
      const received = receiveMessageOnPort(this.port);
      if (received === undefined) return;
      const { id, result } = received.message as TransferAnswer;
      const transfer = this.pending.get(id);
      if (transfer !== undefined) transfer.result = result;
      this.pending.delete(id);
    }
  }

  wait(transfer: Transfer): void {
    const { progress } = this;
    const giveUpAt = performance.now() + START_MS_MAX;
    for (;;) {
      const seen = Atomics.load(progress, Progress.Finished);
      this.collect();
      if (transfer.result !== null) return;
      // The thread's failure would be an event, which this thread has no time to handle.
      const isRunning = Atomics.load(progress, Progress.Running) !== 0;
      if (!isRunning && performance.now() > giveUpAt) this.threadFailed('it has not started in time');
      else Atomics.wait(progress, Progress.Finished, seen, isRunning ? Infinity : START_POLL_MS);
    }
  }
}

/** Errors that Redis notices only when it writes, and so reports as write errors. */
const REFUSALS = new Set(['ECONNREFUSED', 'ECONNRESET', 'EHOSTUNREACH', 'ETIMEDOUT']);

interface ReplyParser {
  execute(data: Buffer): void;
}

type ReplyParserClass = new (options: {
  returnReply(reply: unknown): void;
  returnError(error: Error): void;
  returnFatalError(error: Error): void;
}) => ReplyParser;

/** Serves a worker's transfers, in a thread of its own. */
export function serveTransfers({ port, progress, channel }: TransferThreadOptions): void {
  const words = new Int32Array(progress);
  Atomics.store(words, Progress.Running, 1);
  const worker = new WorkerChannel(channel, loadLibc());
  const waiting: TransferMessage[] = [];
  let running = 0;
  const next = (): void => {
    if (running === TRANSFERS_MAX) return;
    const message = waiting.shift();
    if (message === undefined) return;
    running++;
    runTransfer(message.request, message.tls, (result) => {
      running--;
      const answer: TransferAnswer = { id: message.id, result };
      port.postMessage(answer);
      Atomics.add(words, Progress.Finished, 1);
      Atomics.notify(words, Progress.Finished);
      worker.wake();
      next();
    });
  };
  port.on('message', (message: TransferMessage) => {
    waiting.push(message);
    next();
  });
}

/** Runs one transfer over a connection of its own; calls `finish` once. */
function runTransfer(
  request: TransferRequest,
  settings: TlsSettings | null,
  finish: (result: TransferResult) => void,
): void {
  const Parser = createRequire(import.meta.url)('redis-parser') as ReplyParserClass;
  const { host, port, timeoutMs, preamble, preambleReplies, commands, replies: replyCount } = request;
  const replies: string[] = [];
  let preambleLeft = preambleReplies;
  let preambleError = '';
  let isConnected = false;
  let isFinished = false;
  let socket: net.Socket | null = null;

  const end = (failure: TransferFailure): void => {
    if (isFinished) return;
    isFinished = true;
    socket?.destroy();
    finish({ failure, preambleError, replies });
  };
  const fail = (error?: unknown): void => {
    const { code = '' } = (error ?? {}) as NodeJS.ErrnoException;
    if (isConnected)
      end((socket?.writableLength ?? 0) > 0 ? TransferFailure.Writing : TransferFailure.Reading);
    else end(REFUSALS.has(code) ? TransferFailure.Writing : TransferFailure.Connecting);
  };
  const take = (error: string): void => {
    if (preambleLeft > 0) {
      preambleError ||= error;
      if (--preambleLeft > 0) return;
      if (preambleError !== '') end(TransferFailure.None);
      else socket?.write(commands);
    } else {
      replies.push(error);
      if (replies.length === replyCount) end(TransferFailure.None);
    }
  };
  const parser = new Parser({
    returnReply: () => take(''),
    returnError: (error) => take(error.message),
    returnFatalError: () => fail(),
  });
  try {
    socket =
      settings === null ? net.connect({ host, port, noDelay: true }) : connectTls({ host, port }, settings);
  } catch {
    // The port is invalid, or a certificate can't be read.
    fail();
    return;
  }
  socket.setTimeout(timeoutMs, () => fail());
  socket.on('error', fail);
  socket.on('end', () => fail());
  socket.on('close', () => fail());
  socket.on('data', (data) => {
    if (!isFinished) parser.execute(data);
  });
  socket.on(settings === null ? 'connect' : 'secureConnect', () => {
    isConnected = true;
    socket?.write(preambleLeft > 0 ? preamble : commands);
  });
}
