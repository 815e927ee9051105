/**
 * How much input a worker lets come together before it begins a round.
 *
 * A round costs a sleep and a wake-up, whatever it handles. When processors are short, the clients are on this machine,
 * too, and wait for one: a worker that begins with the first request that comes takes it from them, for little. So a
 * worker to which much comes from many connections waits a moment for more of it, as network cards gather packets
 * before they interrupt. It waits for no more than what
 *
 *   * comes in `targetMs` at the present rate,
 *   * a part of the active connections send, since what all of them wait for would never come,
 *
 * and for `gatherMs` at most. With processors to spare, or one of these below two, it begins at once.
 */

import type { ProcessorLoad } from './processor-load.js';

/**
 * Messages to many subscribers: when so many times more is sent than comes, nearly all of a round is sends, of which a larger
 * round saves most. It waits longer then, as long as so many sends in a moment are made, and for nearly all of the connections.
 */
const FAN_OUT_MIN = 4;
const FAN_OUT_PATIENCE = 3;
const ACTIVE_CONNECTIONS_PER_FAN_OUT = 1.1;
/** A round waits for the input of so much time: with one active worker, and with several, where each gets less. */
const TARGET_MS = 0.2;
const SHARED_TARGET_MS = 0.3;
/** Maximum wait, as a multiple of the time in which the wanted input comes on average. */
const PATIENCE = 4 / 3;
const ACTIVE_CONNECTIONS_PER_INPUT = 2.5;
const WANTED_MAX = 32;
const MISSES_MAX = 4;
/** Length of the window over which rates and connections are counted. */
const WINDOW_MS = 50;
/** Processors are short if at most this part of their time is idle. */
const SHORT_IDLE_RATIO = 0.4;

export class InputGathering {
  /** Inputs to wait for. */
  wanted = 1;
  /** Number of the window that is being counted. */
  window = 1;
  /** Connections that have sent something in it. */
  activeConnections = 0;
  /** How long to wait for all that is wanted. */
  gatherMs = TARGET_MS * PATIENCE;
  private readonly activeWorkers: () => number;
  private readonly load: Pick<ProcessorLoad, 'idleRatio'>;
  private windowStartMs = 0;
  private inputs = 0;
  private sends = 0;
  /** Rounds in a row with less than half of what was wanted. */
  private misses = 0;

  constructor(activeWorkers: () => number, load: Pick<ProcessorLoad, 'idleRatio'>) {
    this.activeWorkers = activeWorkers;
    this.load = load;
  }

  /** Counts the inputs that a round has found, and what it has sent, and adapts `wanted`. */
  endRound(nowMs: number, inputs: number, sends: number): void {
    if (inputs >= this.wanted >> 1) {
      this.misses = 0;
    } else if (++this.misses === MISSES_MAX) {
      // Less input comes than before.
      this.misses = 0;
      this.wanted >>= 1;
    }
    this.inputs += inputs;
    this.sends += sends;
    const elapsedMs = nowMs - this.windowStartMs;
    if (elapsedMs < WINDOW_MS) return;
    const isFanOut = this.sends >= FAN_OUT_MIN * this.inputs;
    const targetMs =
      (this.activeWorkers() === 1 ? TARGET_MS : SHARED_TARGET_MS) * (isFanOut ? FAN_OUT_PATIENCE : 1);
    this.gatherMs = targetMs * PATIENCE;
    const perInput = isFanOut ? ACTIVE_CONNECTIONS_PER_FAN_OUT : ACTIVE_CONNECTIONS_PER_INPUT;
    const wanted = Math.min(
      Math.floor(((isFanOut ? this.sends : this.inputs) * targetMs) / elapsedMs),
      Math.floor(this.activeConnections / perInput),
      WANTED_MAX,
    );
    this.wanted = wanted > 1 && this.load.idleRatio(nowMs) <= SHORT_IDLE_RATIO ? wanted : 1;
    this.windowStartMs = nowMs;
    this.inputs = 0;
    this.sends = 0;
    this.activeConnections = 0;
    this.window++;
  }
}
