/**
 * The score by which the kernel chooses the process to kill when memory runs out: /proc/self/oom_score_adj. Any thread
 * may set it; two shared words keep the score from before.
 *
 *   int32 words   0 the score is ours   1 the score that the process had before
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { systemReason } from './system-reason.js';

const FILE = '/proc/self/oom_score_adj';
const SCORE_MAX = 1000;

const enum Word {
  IsOurs = 0,
  Before = 1,
}

export class OomScore {
  static readonly WORDS = 2;
  private readonly words: Int32Array;
  private readonly file: string;

  constructor(words: Int32Array, file = FILE) {
    this.words = words;
    this.file = file;
  }

  /**
   * Sets the score.
   * @param isRelative `score` is added to the one from before
   * @returns what has failed, '' on success
   */
  set(score: number, isRelative: boolean): string {
    const { words } = this;
    if (Atomics.load(words, Word.IsOurs) === 0) {
      try {
        Atomics.store(words, Word.Before, Number.parseInt(readFileSync(this.file, 'latin1'), 10));
      } catch (error) {
        return `Unable to read oom_score_adj: ${systemReason(error)}`;
      }
      Atomics.store(words, Word.IsOurs, 1);
    }
    return this.write(isRelative ? score + Atomics.load(words, Word.Before) : score);
  }

  /** Sets the score from before, if it was changed. Returns what has failed, '' on success. */
  restore(): string {
    if (Atomics.exchange(this.words, Word.IsOurs, 0) === 0) return '';
    return this.write(Atomics.load(this.words, Word.Before));
  }

  private write(score: number): string {
    try {
      writeFileSync(this.file, `${Math.max(-SCORE_MAX, Math.min(SCORE_MAX, score))}\n`);
    } catch (error) {
      return `Unable to write oom_score_adj: ${systemReason(error)}`;
    }
    return '';
  }
}
