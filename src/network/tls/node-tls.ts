/** TLS of the portable transport, by node:tls: handshakes are done by the worker that has accepted the connection. */

import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import type { Config } from '../../config/config.js';
import { readTlsSettings, type TlsSettings } from '../../config/tls-settings.js';
import type { TlsState } from '../../state/tls-state.js';
import type { Log } from '../../system/log.js';
import { UNEXPECTED_END } from '../../system/openssl.js';
import { createNodeContext } from './node-context.js';

/** The value of `auth-timeout` that means no limit for the handshake. */
const NO_TIMEOUT_MS = 0;

export class NodeTls {
  private readonly state: TlsState;
  private readonly config: Config;
  private readonly log: Log;
  private context: SecureContext | null = null;
  /** What `context` is made of. */
  private madeOf = '';

  constructor(state: TlsState, config: Config, log: Log) {
    this.state = state;
    this.config = config;
    this.log = log;
  }

  /** Does the handshake of an accepted connection. `done` gets its socket, null if it has failed and is closed. */
  handshake(accepted: Socket, done: (socket: TLSSocket | null) => void): void {
    const { state, config } = this;
    const addresses =
      `(addr=${accepted.remoteAddress}:${accepted.remotePort} ` +
      `laddr=${accepted.localAddress}:${accepted.localPort})`;
    let isDone = false;
    const end = (reason: string): void => {
      if (isDone) return;
      isDone = true;
      state.addUnderWay(-1);
      state.countFailure();
      this.log(`Error accepting a client connection: ${reason} ${addresses}`, 'warning');
      accepted.destroy();
      done(null);
    };
    state.addUnderWay(1);
    accepted.on('error', (error) => end(error.message));
    let socket: TLSSocket;
    try {
      const authentication = config.tlsAuthClients;
      socket = new TLSSocket(accepted, {
        isServer: true,
        secureContext: this.currentContext(),
        requestCert: authentication !== 'no',
        // If a certificate is optional, `refusal` checks the one that is shown.
        rejectUnauthorized: authentication === 'yes',
      });
      socket.disableRenegotiation();
    } catch (error) {
      end((error as Error).message);
      return;
    }
    const timeoutMs = config.authTimeoutSeconds * 1000 || NO_TIMEOUT_MS;
    const timer =
      timeoutMs === NO_TIMEOUT_MS
        ? undefined
        : setTimeout(() => end('the handshake has not been done in time'), timeoutMs);
    const fail = (error?: Error): void => {
      clearTimeout(timer);
      end(reasonOf(error));
    };
    const unexpectedEnd = (): void => fail();
    socket.on('error', fail).on('_tlsError', fail).on('close', unexpectedEnd);
    socket.on('secure', () => {
      if (isDone) return;
      const refusal = this.refusal(socket);
      if (refusal !== '') {
        fail(new Error(refusal));
        return;
      }
      isDone = true;
      clearTimeout(timer);
      socket.off('error', fail).off('_tlsError', fail).off('close', unexpectedEnd);
      state.addUnderWay(-1);
      state.countHandshake(socket.isSessionReused());
      done(socket);
    });
  }

  /** Why a client may not come in, '' if it may. */
  private refusal(socket: TLSSocket): string {
    const { tlsAuthClients } = this.config;
    if (tlsAuthClients === 'no') return '';
    const hasCertificate = Object.keys(socket.getPeerCertificate()).length > 0;
    if (!hasCertificate) {
      return tlsAuthClients === 'optional'
        ? ''
        : 'error:0A0000C7:SSL routines::peer did not return a certificate';
    }
    // Of node:tls's handle: null, or an error.
    const handle = (socket as unknown as { _handle: { verifyError(): Error | null } | null })._handle;
    const error = handle?.verifyError() ?? null;
    return error === null ? '' : `error:0A000086:SSL routines::certificate verify failed: ${error.message}`;
  }

  /** The configuration has changed: reads the files, if there is TLS, before others are put in their place. */
  follow(): void {
    if (this.context !== null) this.currentContext();
  }

  private currentContext(): SecureContext {
    const settings: TlsSettings = readTlsSettings(this.config);
    const wanted = JSON.stringify([this.state.version, settings]);
    if (this.context !== null && wanted === this.madeOf) return this.context;
    try {
      this.context = createNodeContext(settings);
      this.madeOf = wanted;
    } catch (error) {
      // The files have changed since they were checked.
      if (this.context === null) throw error;
      this.log(`TLS goes on as it was: ${(error as Error).message}`, 'warning');
      this.madeOf = wanted;
    }
    return this.context;
  }
}

/** OpenSSL's own text for an error, if there is one. */
function reasonOf(error?: Error): string {
  if (error === undefined) return UNEXPECTED_END;
  return /error:[^\n]*?(?=:\.\.|:?$)/.exec(error.message)?.[0] ?? error.message;
}
