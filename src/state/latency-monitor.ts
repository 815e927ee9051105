/**
 * The latency monitor: for each kind of event (command, fast-command, expire-cycle …) the last 160 latency
 * spikes, one a second at most, and the highest ever. Under one lock; events are rare by definition.
 *
 *   int32 words
 *     0 lock    1 events known
 *     16...     events of 512 words:
 *                 0 samples kept   1 place of the next sample   2 highest latency ever (ms)
 *                 3 length of the name   4...11 name   16 + 2 × i sample: time (s, uint32), latency (ms)
 */

import { acquireLock, releaseLock } from '../memory/lock.js';

const EVENTS_MAX = 32;
export const LATENCY_SAMPLES_MAX = 160;
const EVENT_WORDS = 512;
const EVENTS_WORD = 16;
const NAME_BYTES_MAX = 32;

const enum Header {
  Lock = 0,
  Events = 1,
}

const enum EventWord {
  Count = 0,
  Next = 1,
  HighestMs = 2,
  NameLength = 3,
  Name = 4,
  Samples = 16,
}

export interface LatencySample {
  readonly timeSeconds: number;
  readonly latencyMs: number;
}

export interface LatencyEvent {
  readonly name: string;
  /** Oldest first. */
  readonly samples: LatencySample[];
  readonly highestMs: number;
}

/** Figures about the samples kept of one event. */
export interface LatencyFigures {
  readonly averageMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** Mean absolute deviation from the average. */
  readonly meanDeviationMs: number;
  /** Mean number of seconds between two spikes, as seen from `nowMs`. */
  readonly periodSeconds: number;
}

export class LatencyMonitor {
  readonly handle: SharedArrayBuffer;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;

  constructor(handle: SharedArrayBuffer) {
    this.handle = handle;
    this.words = new Int32Array(handle);
    this.bytes = new Uint8Array(handle);
  }

  static create(): SharedArrayBuffer {
    return new SharedArrayBuffer((EVENTS_WORD + EVENTS_MAX * EVENT_WORDS) * 4);
  }

  /** Notes a spike. The caller has compared it with `latency-monitor-threshold`. */
  add(name: string, latencyMs: number, nowMs: number): void {
    const { words } = this;
    const timeSeconds = Math.floor(nowMs / 1000);
    const latency = Math.round(latencyMs);
    acquireLock(words, Header.Lock);
    const event = this.findOrAdd(name);
    if (event >= 0) {
      words[event + EventWord.HighestMs] = Math.max(words[event + EventWord.HighestMs], latency);
      const next = words[event + EventWord.Next];
      const last = event + EventWord.Samples + 2 * ((next + LATENCY_SAMPLES_MAX - 1) % LATENCY_SAMPLES_MAX);
      if (words[event + EventWord.Count] > 0 && words[last] >>> 0 === timeSeconds) {
        words[last + 1] = Math.max(words[last + 1], latency);
      } else {
        words[event + EventWord.Samples + 2 * next] = timeSeconds;
        words[event + EventWord.Samples + 2 * next + 1] = latency;
        words[event + EventWord.Next] = (next + 1) % LATENCY_SAMPLES_MAX;
        words[event + EventWord.Count] = Math.min(words[event + EventWord.Count] + 1, LATENCY_SAMPLES_MAX);
      }
    }
    releaseLock(words, Header.Lock);
  }

  /** Word index of an event, -1 if the table is full. The lock is held. */
  private findOrAdd(name: string): number {
    const { words } = this;
    for (let index = 0; index < words[Header.Events]; index++) {
      const event = EVENTS_WORD + index * EVENT_WORDS;
      if (this.name(event) === name) return event;
    }
    if (words[Header.Events] === EVENTS_MAX) return -1;
    const event = EVENTS_WORD + words[Header.Events]++ * EVENT_WORDS;
    const length = Math.min(name.length, NAME_BYTES_MAX);
    for (let at = 0; at < length; at++) this.bytes[(event + EventWord.Name) * 4 + at] = name.charCodeAt(at);
    words[event + EventWord.NameLength] = length;
    return event;
  }

  private name(event: number): string {
    const offset = (event + EventWord.Name) * 4;
    return String.fromCharCode(
      ...this.bytes.subarray(offset, offset + this.words[event + EventWord.NameLength]),
    );
  }

  /** All events that have samples, by name. */
  events(): LatencyEvent[] {
    const { words } = this;
    const events: LatencyEvent[] = [];
    acquireLock(words, Header.Lock);
    for (let index = 0; index < words[Header.Events]; index++) {
      const event = EVENTS_WORD + index * EVENT_WORDS;
      const count = words[event + EventWord.Count];
      if (count === 0) continue;
      const samples: LatencySample[] = [];
      const first = words[event + EventWord.Next] - count + LATENCY_SAMPLES_MAX;
      for (let sample = 0; sample < count; sample++) {
        const at = event + EventWord.Samples + 2 * ((first + sample) % LATENCY_SAMPLES_MAX);
        samples.push({ timeSeconds: words[at] >>> 0, latencyMs: words[at + 1] });
      }
      events.push({ name: this.name(event), samples, highestMs: words[event + EventWord.HighestMs] });
    }
    releaseLock(words, Header.Lock);
    return events.sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** One event, null if nothing is known of it. */
  event(name: string): LatencyEvent | null {
    return this.events().find((event) => event.name === name) ?? null;
  }

  /** Forgets the events named, or all. Returns how many were forgotten. */
  reset(names: readonly string[]): number {
    const { words } = this;
    let forgotten = 0;
    acquireLock(words, Header.Lock);
    for (let index = 0; index < words[Header.Events]; index++) {
      const event = EVENTS_WORD + index * EVENT_WORDS;
      if (words[event + EventWord.Count] === 0) continue;
      if (names.length > 0 && !names.includes(this.name(event))) continue;
      words[event + EventWord.Count] = 0;
      words[event + EventWord.Next] = 0;
      words[event + EventWord.HighestMs] = 0;
      forgotten++;
    }
    releaseLock(words, Header.Lock);
    return forgotten;
  }
}

/** What LATENCY DOCTOR says about an event. */
export function latencyFigures(event: LatencyEvent, nowMs: number): LatencyFigures {
  const latencies = event.samples.map((sample) => sample.latencyMs);
  const { length } = latencies;
  const averageMs = Math.floor(latencies.reduce((sum, latency) => sum + latency, 0) / length);
  const deviation = latencies.reduce((sum, latency) => sum + Math.abs(latency - averageMs), 0);
  const elapsedSeconds = Math.floor(nowMs / 1000) - event.samples[0].timeSeconds;
  return {
    averageMs,
    minMs: Math.min(...latencies),
    maxMs: Math.max(...latencies),
    meanDeviationMs: Math.floor(deviation / length),
    periodSeconds: elapsedSeconds > 0 ? elapsedSeconds / length : 1,
  };
}
