/** Makes the context (SSL_CTX) of connections that clients open, from what is configured. */

import { existsSync } from 'node:fs';
import type { TlsSettings } from '../../config/tls-settings.js';
import {
  ContextControl,
  FILE_IS_PEM,
  type OpenSsl,
  SessionCache,
  SslMode,
  SslOption,
  VerifyMode,
} from '../../system/openssl.js';

const PROTOCOLS: Readonly<Record<string, SslOption>> = {
  tlsv1: SslOption.NoTls1,
  'tlsv1.1': SslOption.NoTls11,
  'tlsv1.2': SslOption.NoTls12,
  'tlsv1.3': SslOption.NoTls13,
};
const DEFAULT_PROTOCOLS = ['tlsv1.2', 'tlsv1.3'];

/** What is configured makes no context; the message is what Redis logs. */
export class TlsConfigError extends Error {}

/** The protocols that are configured, in lower case. Throws TlsConfigError for others. */
export function protocolsOf(settings: TlsSettings): string[] {
  const words = settings.protocols.toLowerCase().split(' ').filter(Boolean);
  if (words.some((word) => PROTOCOLS[word] === undefined)) {
    throw new TlsConfigError(
      "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.",
    );
  }
  return words.length === 0 ? DEFAULT_PROTOCOLS : words;
}

/** Throws TlsConfigError if something is missing that is always needed. */
export function checkTlsSettings(settings: TlsSettings): void {
  if (settings.certFile === '') throw new TlsConfigError('No tls-cert-file configured!');
  if (settings.keyFile === '') throw new TlsConfigError('No tls-key-file configured!');
  const isVerifying = settings.clientAuthentication !== 'no' || settings.isClient;
  if (isVerifying && settings.caFile === '' && settings.caDirectory === '') {
    throw new TlsConfigError(
      'Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or ' +
        'tls-auth-clients are enabled!',
    );
  }
}

/** Returns the address of a new context, which the caller owns. Throws TlsConfigError. */
export function createServerContext(openSsl: OpenSsl, settings: TlsSettings): number {
  checkTlsSettings(settings);
  const protocols = protocolsOf(settings);
  openSsl.takeErrors();
  const context = openSsl.newContext(openSsl.tlsMethod());
  try {
    let options = SslOption.NoSsl3 | SslOption.NoCompression | SslOption.NoRenegotiation;
    for (const [name, option] of Object.entries(PROTOCOLS)) if (!protocols.includes(name)) options |= option;
    if (settings.prefersServerCiphers) options |= SslOption.CipherServerPreference;
    openSsl.setOptions(context, options);
    openSsl.controlContext(context, ContextControl.Mode, SslMode.ReleaseBuffers, 0);
    cacheSessions(openSsl, context, settings);
    loadIdentity(openSsl, context, settings);
    loadAuthorities(openSsl, context, settings);
    setCiphers(openSsl, context, settings);
    if (settings.dhParamsFile !== '') loadDhParameters(openSsl, context, settings.dhParamsFile);
  } catch (error) {
    openSsl.freeContext(context);
    openSsl.takeErrors();
    throw error;
  }
  return context;
}

function cacheSessions(openSsl: OpenSsl, context: number, settings: TlsSettings): void {
  const { cachesSessions, sessionCacheSize, sessionTimeoutSeconds } = settings;
  const mode = cachesSessions ? SessionCache.Server : SessionCache.Off;
  openSsl.controlContext(context, ContextControl.SessionCacheMode, mode, 0);
  if (cachesSessions) {
    openSsl.controlContext(context, ContextControl.SessionCacheSize, sessionCacheSize, 0);
    openSsl.setSessionTimeout(context, sessionTimeoutSeconds);
    // Instead of OpenSSL's two: each costs some encryption, and each resumption brings another.
    openSsl.setTickets(context, 1);
  }
  const id = Buffer.from('damselfly');
  openSsl.setSessionIdContext(context, openSsl.addressOf(id), id.length);
}

function loadIdentity(openSsl: OpenSsl, context: number, settings: TlsSettings): void {
  const { certFile, keyFile, keyPassword } = settings;
  // Without a password set, OpenSSL would ask for one on the terminal.
  const password = Buffer.from(`${keyPassword}\0`, 'latin1');
  openSsl.setPassword(context, openSsl.addressOf(password));
  if (openSsl.useCertificateChain(context, certFile) <= 0)
    throw failure(openSsl, `Failed to load certificate: ${certFile}`);
  const isLoaded =
    openSsl.usePrivateKey(context, keyFile, FILE_IS_PEM) > 0 && openSsl.checkPrivateKey(context) > 0;
  openSsl.setPassword(context, 0);
  password.fill(0);
  if (!isLoaded) throw failure(openSsl, `Failed to load private key: ${keyFile}`);
}

function loadAuthorities(openSsl: OpenSsl, context: number, settings: TlsSettings): void {
  const { caFile, caDirectory } = settings;
  // Each connection is told anew whether the client has to show a certificate.
  openSsl.setVerify(context, VerifyMode.Peer | VerifyMode.FailIfNoPeerCertificate, 0);
  if (caFile === '' && caDirectory === '') return;
  // A directory is only looked into when a certificate has to be verified.
  const isMissing = caDirectory !== '' && !existsSync(caDirectory);
  if (isMissing || openSsl.loadVerifyLocations(context, caFile || null, caDirectory || null) <= 0)
    throw failure(openSsl, 'Failed to configure CA certificate(s) file/directory');
}

function setCiphers(openSsl: OpenSsl, context: number, { ciphers, cipherSuites }: TlsSettings): void {
  if (ciphers !== '' && openSsl.setCipherList(context, ciphers) <= 0)
    throw new TlsConfigError(`Failed to configure ciphers: ${ciphers}`);
  if (cipherSuites !== '' && openSsl.setCipherSuites(context, cipherSuites) <= 0)
    throw new TlsConfigError(`Failed to configure ciphersuites: ${cipherSuites}`);
}

function loadDhParameters(openSsl: OpenSsl, context: number, file: string): void {
  const bio = openSsl.openFile(file, 'r');
  const parameters = bio === 0 ? 0 : openSsl.readParameters(bio, 0, 0, 0);
  if (bio !== 0) openSsl.freeBio(bio);
  if (parameters !== 0 && openSsl.setDhParameters(context, parameters) > 0) return;
  if (parameters !== 0) openSsl.freeKey(parameters);
  throw failure(openSsl, `Failed to load DH params file: ${file}`);
}

function failure(openSsl: OpenSsl, what: string): TlsConfigError {
  const [reason] = openSsl.takeErrors();
  return new TlsConfigError(reason === undefined ? what : `${what}: ${reason}`);
}
