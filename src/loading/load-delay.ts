/**
 * `key-load-delay` of Redis: microseconds to wait after each key or command that is loaded; -n waits a microsecond
 * after one of n. It makes loading slow, so that tests can see what happens meanwhile.
 */

import { Config } from '../config/config.js';
import type { HeededBlock } from '../memory/attention.js';
import { SharedConfig } from '../state/shared-config.js';
import { sleepInSlices } from '../system/wait.js';

export class LoadDelay {
  private readonly shared: SharedConfig;
  private version = 0;
  private microseconds = 0;

  /** @param config the process's SharedConfig */
  constructor(config: HeededBlock) {
    this.shared = new SharedConfig(config);
    this.follow();
  }

  /** Whether there is a delay. Once it is off it stays off, since the directive is checked only while waiting. */
  get isOn(): boolean {
    return this.microseconds !== 0;
  }

  /** Waits as long as configured, usually not at all. Only a thread that has nothing else to do may wait. */
  pause(): void {
    if (this.microseconds !== 0) sleepInSlices(this.delayMs);
  }

  private readonly delayMs = (): number => {
    this.follow();
    const { microseconds } = this;
    if (microseconds >= 0) return microseconds / 1000;
    return Math.random() < -1 / microseconds ? 0.001 : 0;
  };

  private follow(): void {
    const published = this.shared.readIfNewer(this.version);
    if (published === null) return;
    this.version = published.version;
    this.microseconds = Number(new Config(JSON.parse(published.json)).value('key-load-delay'));
  }
}
