/**
 * What stands for connections where there are none: for that of a log that is replayed, or of a client of another worker, and
 * for the TLS of threads that serve nobody.
 */

import type { TlsControl } from './services.js';
import type { ClientConnection } from './session.js';

export const NO_CONNECTION: ClientConnection = {
  closeAfterReply: () => {},
  peerAddress: () => '',
  localAddress: () => '',
  fd: -1,
  pendingOutputBytes: 0,
  pendingOutputChunks: 0,
  queryBufferBytes: 0,
  queryBufferFreeBytes: 0,
  tlsVersion: 0,
  tlsSession: 0,
  tlsBytes: 0,
};

/** Of threads that no client configures. */
export const NO_TLS_CONTROL: TlsControl = {
  isReady: false,
  prepare: () => false,
  publish: () => {},
  discard: () => {},
};
