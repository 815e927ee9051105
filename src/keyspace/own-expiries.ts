/**
 * The keys to which clients of a writable replica (`replica-read-only no`) have given an expiry. A replica deletes keys only
 * when its primary says so; but the primary may not have these, so the replica deletes them itself, as Redis does.
 * Each worker keeps the names of those that its own clients have changed.
 */

import { KeyEvent } from './events.js';
import { type KeyName, NamedKey } from './gate.js';
import type { Keyspace } from './keyspace.js';

/** So many keys are looked at in a tick. */
const LOOKS_MAX = 200;

/** Whether a key may have got an expiry by what such an event tells of. */
function mayGiveExpiry(event: KeyEvent): boolean {
  switch (event) {
    case KeyEvent.Expire:
    case KeyEvent.Restore:
    case KeyEvent.RenameTo:
    case KeyEvent.CopyTo:
    case KeyEvent.MoveTo:
      return true;
    default:
      return false;
  }
}

export class OwnExpiries {
  private readonly isReplica: () => boolean;
  private readonly names = new Map<string, NamedKey>();

  constructor(isReplica: () => boolean) {
    this.isReplica = isReplica;
  }

  /** Something has happened to a key. Called under its shard's lock. */
  note(key: KeyName, event: KeyEvent): void {
    if (!mayGiveExpiry(event) || !this.isReplica()) return;
    const name = NamedKey.copy(key.bytes, key.keyDatabase, key.hash, key.keyOffset, key.keyLength);
    const text = `${name.keyDatabase} ${Buffer.from(name.bytes).toString('latin1')}`;
    if (!this.names.has(text)) this.names.set(text, name);
  }

  /**
   * Deletes those whose time has come, and forgets those that do not expire any more: some of them, with each call. All are
   * forgotten once the server is a primary, which deletes whatever expires.
   */
  expire(keyspace: Keyspace, nowMs: number): void {
    if (this.names.size === 0) return;
    if (!this.isReplica()) this.names.clear();
    let left = Math.min(LOOKS_MAX, this.names.size);
    for (const [text, name] of this.names) {
      if (left-- === 0) break;
      this.names.delete(text);
      // Looked at again after the others.
      if (keyspace.expireKey(name, nowMs)) this.names.set(text, name);
    }
  }
}
