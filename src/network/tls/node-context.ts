/** Contexts for node:tls: for the portable transport, and for connections that the server itself opens. */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import {
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type SecureVersion,
} from 'node:tls';
import type { TlsSettings } from '../../config/tls-settings.js';
import { systemReason } from '../../system/system-reason.js';
import { checkTlsSettings, protocolsOf, TlsConfigError } from './server-context.js';

const VERSIONS: readonly SecureVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];

/** The context of a server. Throws TlsConfigError. */
export function createNodeContext(settings: TlsSettings): SecureContext {
  checkTlsSettings(settings);
  const { certFile, keyFile, keyPassword, dhParamsFile, cachesSessions, sessionTimeoutSeconds } = settings;
  return makeContext(settings, {
    ...identity(certFile, keyFile, keyPassword),
    ...(dhParamsFile === '' ? {} : { dhparam: read(dhParamsFile, 'Failed to load DH params file') }),
    honorCipherOrder: settings.prefersServerCiphers,
    ...(cachesSessions ? { sessionTimeout: sessionTimeoutSeconds } : {}),
    sessionIdContext: 'damselfly',
  });
}

/** The context of a client, as plain data that can be sent to another thread. Throws TlsConfigError. */
export function clientContextOptions(settings: TlsSettings): SecureContextOptions {
  const { clientCertFile, clientKeyFile, clientKeyPassword, certFile, keyFile, keyPassword } = settings;
  return {
    ...(clientCertFile === ''
      ? identity(certFile, keyFile, keyPassword)
      : identity(clientCertFile, clientKeyFile, clientKeyPassword)),
    ...commonOptions(settings),
  };
}

function makeContext(settings: TlsSettings, options: SecureContextOptions): SecureContext {
  const all = { ...options, ...commonOptions(settings) };
  try {
    return createSecureContext(all);
  } catch (error) {
    throw new TlsConfigError(`Failed to configure TLS: ${(error as Error).message}`);
  }
}

function commonOptions(settings: TlsSettings): SecureContextOptions {
  const protocols = protocolsOf(settings);
  const versions = VERSIONS.filter((version) => protocols.includes(version.toLowerCase()));
  const ciphers = [settings.cipherSuites, settings.ciphers].filter((list) => list !== '').join(':');
  const authorities = readAuthorities(settings);
  return {
    minVersion: versions[0],
    maxVersion: versions.at(-1),
    ...(ciphers === '' ? {} : { ciphers }),
    ...(authorities.length === 0 ? {} : { ca: authorities }),
  };
}

function identity(certFile: string, keyFile: string, passphrase: string): SecureContextOptions {
  const cert = read(certFile, 'Failed to load certificate');
  const key = read(keyFile, 'Failed to load private key');
  let belongTogether: boolean;
  try {
    belongTogether = new X509Certificate(cert).checkPrivateKey(createPrivateKey({ key, passphrase }));
  } catch (error) {
    throw new TlsConfigError(`Failed to load private key: ${keyFile}: ${(error as Error).message}`);
  }
  // node:tls accepts a certificate and a key of different kinds, side by side.
  if (!belongTogether)
    throw new TlsConfigError(`Failed to load private key: ${keyFile}: key values mismatch`);
  return { cert, key, passphrase };
}

/** All certificates of the file and the directory. */
function readAuthorities({ caFile, caDirectory }: TlsSettings): string[] {
  const what = 'Failed to configure CA certificate(s) file/directory';
  const authorities = caFile === '' ? [] : [read(caFile, what)];
  if (caDirectory === '') return authorities;
  let names: string[];
  try {
    names = readdirSync(caDirectory);
  } catch (error) {
    throw new TlsConfigError(`${what}: ${systemReason(error)}`);
  }
  for (const name of names) {
    const text = read(path.join(caDirectory, name), what);
    if (text.includes('-----BEGIN')) authorities.push(text);
  }
  return authorities;
}

function read(file: string, what: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch (error) {
    throw new TlsConfigError(`${what}: ${file}: ${systemReason(error)}`);
  }
}
