/** `maxclients` at start: as many clients as the system has descriptors for. */

import type { Config } from '../config/config.js';
import { TRANSFERS_MAX } from '../network/transfer.js';
import { CLIENT_ROWS_MAX } from '../state/client-table.js';
import { DescriptorLimit, openDescriptors } from '../system/descriptors.js';
import type { Libc } from '../system/libc.js';
import type { Log } from '../system/log.js';
import { THREAD_DESCRIPTORS } from '../system/thread.js';
import { handshakerCount } from './handshaker-threads.js';

/** A worker, and a thread for TLS handshakes, has an eventfd and a ring or epoll of its own, the acceptor an eventfd. */
const WORKER_DESCRIPTORS = THREAD_DESCRIPTORS + 2;
/** The persistence thread, and the journal thread, with their files and folders. */
const PERSISTENCE_DESCRIPTORS = THREAD_DESCRIPTORS + 2;
const JOURNAL_DESCRIPTORS = THREAD_DESCRIPTORS + 4;
/** The replication thread, the pair of sockets that wakes it, a pipe, a file, the link to the primary. */
const REPLICATION_DESCRIPTORS = THREAD_DESCRIPTORS + 6;
/** Connections that are being refused or closed, and files that are open for a moment. */
const SPARE_DESCRIPTORS = 16;

/** Descriptors that the process needs besides those of clients; all but the open ones are still to be opened. */
function reservedDescriptors(config: Config): number {
  const ports = (config.port === 0 ? 0 : 1) + (config.tlsPort === 0 ? 0 : 1);
  const listeners = config.bind.length * Math.max(1, ports) + (config.unixSocket === '' ? 0 : 1);
  // Threads that load the data at start; afterwards the threads that send for MIGRATE.
  const helpers = config.threads * (THREAD_DESCRIPTORS + TRANSFERS_MAX);
  return (
    openDescriptors() +
    listeners +
    (config.threads + 1 + handshakerCount(config.threads)) * WORKER_DESCRIPTORS +
    helpers +
    PERSISTENCE_DESCRIPTORS +
    JOURNAL_DESCRIPTORS +
    REPLICATION_DESCRIPTORS +
    SPARE_DESCRIPTORS
  );
}

/**
 * Raises the limit of descriptors for `maxclients`, or reduces `maxclients` to what it allows; logs that in Redis's
 * words. Call it before anything is opened for good. Throws an Error with one line if there is no room at all.
 */
export function makeRoomForClients(config: Config, libc: Libc | null, log: Log): DescriptorLimit {
  const limit = new DescriptorLimit(libc, reservedDescriptors(config));
  const requested = config.maxClients;
  if (requested > CLIENT_ROWS_MAX) {
    config.set([['maxclients', String(CLIENT_ROWS_MAX)]]);
    log(`You requested maxclients of ${requested}. It has been reduced to ${CLIENT_ROWS_MAX}.`, 'warning');
  }
  const room = limit.makeRoom(config.maxClients);
  if (room.clients === 0) {
    throw new Error(
      `Your current 'ulimit -n' of ${room.limitBefore} is not enough for the server to start. ` +
        `Please increase your open file limit to at least ${room.wanted}. Exiting.`,
    );
  }
  if (room.clients < config.maxClients) {
    log(
      `You requested maxclients of ${config.maxClients} requiring at least ${room.wanted} max file descriptors.`,
      'warning',
    );
    log(
      `Server can't set maximum open files to ${room.wanted} because of OS error: ${room.reason}.`,
      'warning',
    );
    log(
      `Current maximum open files is ${room.limit}. maxclients has been reduced to ${room.clients} to compensate ` +
        "for low ulimit. If you need higher maxclients increase 'ulimit -n'.",
      'warning',
    );
    config.set([['maxclients', String(room.clients)]]);
  } else if (room.limit > room.limitBefore) {
    log(
      `Increased maximum number of open files to ${room.wanted} (it was originally set to ${room.limitBefore}).`,
    );
  }
  return limit;
}
