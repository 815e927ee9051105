/**
 * Placeholders where there is no connection: while a log is replayed, for a client of another worker, and for the TLS
 * of threads without clients.
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

/** For threads whose TLS no client can configure. */
export const NO_TLS_CONTROL: TlsControl = {
  isReady: false,
  prepare: () => false,
  publish: () => {},
  discard: () => {},
};
