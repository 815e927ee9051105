/**
 * Sends commands to another server and gathers its replies: what MIGRATE needs of the network.
 *
 * A worker waits in the kernel and turns Node's event loop only ten times a second, and it must not wait for a peer at all.
 * So a thread of its own, started with the first transfer, has the sockets. It tells the worker by waking it, and
 * counts what it has finished in a word for a worker that has nothing else to do than to wait.
 */

import { createRequire } from 'node:module';
import net from 'node:net';
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import {
  type Transfer,
  TransferFailure,
  type TransferRequest,
  type TransferResult,
  type Transfers,
} from '../execution/transfers.js';
import { loadLibc } from '../system/libc.js';
import { startThread } from '../system/thread.js';
import { WorkerChannel } from './worker-channel.js';

interface TransferMessage {
  readonly id: number;
  readonly request: TransferRequest;
}

interface TransferAnswer {
  readonly id: number;
  readonly result: TransferResult;
}

export interface TransferThreadOptions {
  readonly port: MessagePort;
  /** One word: how many transfers are finished. */
  readonly finished: SharedArrayBuffer;
  /** The worker's channel. */
  readonly channel: SharedArrayBuffer;
}

/** The transfers of one worker. */
export class TransferThread implements Transfers {
  private readonly channel: SharedArrayBuffer;
  private readonly finished = new Int32Array(new SharedArrayBuffer(4));
  private readonly pending = new Map<number, Transfer>();
  private port: MessagePort | null = null;
  private lastId = 0;

  constructor(channel: SharedArrayBuffer) {
    this.channel = channel;
  }

  start(request: TransferRequest): Transfer {
    this.port ??= this.startThread();
    const transfer: Transfer = { id: ++this.lastId, result: null };
    this.pending.set(transfer.id, transfer);
    const message: TransferMessage = { id: transfer.id, request };
    this.port.postMessage(message, [request.preamble.buffer, request.commands.buffer]);
    return transfer;
  }

  private startThread(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    const workerData: TransferThreadOptions = {
      port: port2,
      finished: this.finished.buffer as SharedArrayBuffer,
      channel: this.channel,
    };
    const thread = startThread(new URL('../../workers/transfer.js', import.meta.url), {
      workerData,
      transferList: [port2],
      name: 'transfer',
    });
    thread.unref();
    return port1;
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
    for (;;) {
      const seen = Atomics.load(this.finished, 0);
      this.collect();
      if (transfer.result !== null) return;
      Atomics.wait(this.finished, 0, seen);
    }
  }
}

/** What Redis notices only when it writes, and so calls an error of writing. */
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
export function serveTransfers({ port, finished, channel }: TransferThreadOptions): void {
  const words = new Int32Array(finished);
  const worker = new WorkerChannel(channel, loadLibc());
  port.on('message', ({ id, request }: TransferMessage) => {
    runTransfer(request, (result) => {
      const answer: TransferAnswer = { id, result };
      port.postMessage(answer);
      Atomics.add(words, 0, 1);
      Atomics.notify(words, 0);
      worker.wake();
    });
  });
}

/** Runs one transfer over a connection of its own; calls `finish` once. */
function runTransfer(request: TransferRequest, finish: (result: TransferResult) => void): void {
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
    socket = net.connect({ host, port, noDelay: true });
  } catch {
    // A port that is no port.
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
  socket.on('connect', () => {
    isConnected = true;
    socket?.write(preambleLeft > 0 ? preamble : commands);
  });
}
