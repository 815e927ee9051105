/** The keyspace as the main thread opens it: before workers run, and when none of them does anything any more. */

import type { Config } from '../config/config.js';
import { defaultSettings } from '../config/keyspace-settings.js';
import { KeyspaceCounter } from '../keyspace/counters.js';
import { Keyspace, type KeyspaceHandle } from '../keyspace/keyspace.js';

/** The keyspace for the main thread's own work, while no other thread uses it. */
export function openKeyspace(handle: KeyspaceHandle, config: Config): Keyspace {
  const settings = defaultSettings();
  config.copyTo(settings);
  return new Keyspace(handle, settings, new Float64Array(KeyspaceCounter.COUNT));
}
