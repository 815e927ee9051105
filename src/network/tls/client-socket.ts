/** Connections that this server opens to others with TLS: MIGRATE (`tls-cluster`) and replication (`tls-replication`). */

import type { TcpNetConnectOpts } from 'node:net';
import tls from 'node:tls';
import type { TlsSettings } from '../../config/tls-settings.js';
import { clientContextOptions } from './node-context.js';

/** Connects to a server whose certificate one of our authorities has signed; as in Redis, its name is not checked. */
export function connectTls(address: TcpNetConnectOpts, settings: TlsSettings): tls.TLSSocket {
  const socket = tls.connect({
    ...address,
    ...clientContextOptions(settings),
    checkServerIdentity: () => undefined,
  });
  socket.setNoDelay(true);
  return socket;
}
