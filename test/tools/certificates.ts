/** Certificates for tests of TLS, made with the openssl command. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { hasProgram } from './server.js';

/** Files of a certificate and its key. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** For tap's `skip` option. */
export function skipWithoutOpenSsl(): false | string {
  return hasProgram('openssl') ? false : 'the openssl command is not installed';
}

/** An authority and what it has signed, in a directory that vanishes with the process. */
export class Authority {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'damselfly-tls-'));
  readonly ca: Identity;

  constructor(keyType: 'ec' | 'rsa' = 'ec') {
    process.on('exit', () => rmSync(this.directory, { recursive: true, force: true }));
    this.ca = this.files('ca');
    this.newKey(this.ca.key, keyType);
    openssl(
      'req',
      '-x509',
      '-new',
      '-key',
      this.ca.key,
      '-subj',
      '/CN=ca',
      '-days',
      '30',
      '-out',
      this.ca.cert,
    );
  }

  private files(name: string): Identity {
    return { cert: path.join(this.directory, `${name}.crt`), key: path.join(this.directory, `${name}.key`) };
  }

  private newKey(file: string, type: 'ec' | 'rsa', password = ''): void {
    const options =
      type === 'ec' ? ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['-algorithm', 'RSA'];
    const secret = password === '' ? [] : ['-aes256', '-pass', `pass:${password}`];
    openssl('genpkey', ...options, ...secret, '-out', file);
  }

  /** Signs a new certificate. */
  sign(
    name: string,
    { type = 'ec', password = '' }: { type?: 'ec' | 'rsa'; password?: string } = {},
  ): Identity {
    const files = this.files(name);
    const request = path.join(this.directory, `${name}.csr`);
    this.newKey(files.key, type, password);
    const secret = password === '' ? [] : ['-passin', `pass:${password}`];
    openssl('req', '-new', '-key', files.key, ...secret, '-subj', `/CN=${name}`, '-out', request);
    const signer = ['-CA', this.ca.cert, '-CAkey', this.ca.key, '-CAcreateserial'];
    openssl('x509', '-req', '-in', request, ...signer, '-days', '30', '-out', files.cert);
    return files;
  }

  /** The directives of a server that shows a certificate of this authority, and asks for one. */
  directives(server: Identity, tlsPort: number): Record<string, string | number> {
    return {
      'tls-port': tlsPort,
      'tls-cert-file': server.cert,
      'tls-key-file': server.key,
      'tls-ca-cert-file': this.ca.cert,
    };
  }

  /** Options of node:tls, ioredis and node-redis for a client that shows a certificate. */
  clientOptions(client: Identity | null): ConnectionOptions {
    return {
      ca: readFileSync(this.ca.cert),
      ...(client === null ? {} : { cert: readFileSync(client.cert), key: readFileSync(client.key) }),
      checkServerIdentity: () => undefined,
    };
  }
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}
