/** What the `tls-` directives ask for. */

import path from 'node:path';
import type { ClientAuthentication, Config } from './config.js';
import { fromByteString } from './quoting.js';

/** Absolute paths; '' for what is not configured. */
export interface TlsSettings {
  readonly certFile: string;
  readonly keyFile: string;
  readonly keyPassword: string;
  /** The certificate that the server shows as a client of other servers; '': the one for its own clients. */
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
  readonly clientKeyPassword: string;
  readonly dhParamsFile: string;
  readonly caFile: string;
  readonly caDirectory: string;
  readonly clientAuthentication: ClientAuthentication;
  /** Words separated by spaces; '' for TLS 1.2 and 1.3. */
  readonly protocols: string;
  readonly ciphers: string;
  readonly cipherSuites: string;
  readonly prefersServerCiphers: boolean;
  readonly cachesSessions: boolean;
  readonly sessionCacheSize: number;
  readonly sessionTimeoutSeconds: number;
  /** The server is a TLS client of other servers. */
  readonly isClient: boolean;
}

/** Directives that a context is made from: if one is set, even to the value that it has, the files are read again. */
export const TLS_CONTEXT_DIRECTIVES: ReadonlySet<string> = new Set([
  'tls-cert-file',
  'tls-key-file',
  'tls-key-file-pass',
  'tls-client-cert-file',
  'tls-client-key-file',
  'tls-client-key-file-pass',
  'tls-dh-params-file',
  'tls-ca-cert-file',
  'tls-ca-cert-dir',
  'tls-protocols',
  'tls-ciphers',
  'tls-ciphersuites',
  'tls-prefer-server-ciphers',
  'tls-session-caching',
  'tls-session-cache-size',
  'tls-session-cache-timeout',
  'tls-replication',
  'tls-cluster',
]);

/** Whether TLS is used, for clients or to other servers. */
export function usesTls(config: Config): boolean {
  return config.tlsPort !== 0 || isTlsClient(config);
}

function isTlsClient(config: Config): boolean {
  return config.value('tls-replication') === 'yes' || config.value('tls-cluster') === 'yes';
}

export function readTlsSettings(config: Config): TlsSettings {
  const text = (name: string): string => fromByteString(config.value(name));
  const file = (name: string): string => (text(name) === '' ? '' : path.resolve(config.dir, text(name)));
  const flag = (name: string): boolean => config.value(name) === 'yes';
  return {
    certFile: file('tls-cert-file'),
    keyFile: file('tls-key-file'),
    keyPassword: text('tls-key-file-pass'),
    clientCertFile: file('tls-client-cert-file'),
    clientKeyFile: file('tls-client-key-file'),
    clientKeyPassword: text('tls-client-key-file-pass'),
    dhParamsFile: file('tls-dh-params-file'),
    caFile: file('tls-ca-cert-file'),
    caDirectory: file('tls-ca-cert-dir'),
    clientAuthentication: config.tlsAuthClients,
    protocols: text('tls-protocols'),
    ciphers: text('tls-ciphers'),
    cipherSuites: text('tls-ciphersuites'),
    prefersServerCiphers: flag('tls-prefer-server-ciphers'),
    cachesSessions: flag('tls-session-caching'),
    sessionCacheSize: Number(config.value('tls-session-cache-size')),
    sessionTimeoutSeconds: Number(config.value('tls-session-cache-timeout')),
    isClient: isTlsClient(config),
  };
}
