/** Makes the contexts of the connections that clients open, at start and when CONFIG SET changes what they are made from. */

import type { Config } from '../../config/config.js';
import { readTlsSettings, type TlsSettings } from '../../config/tls-settings.js';
import type { TlsControl } from '../../execution/services.js';
import type { TlsState } from '../../state/tls-state.js';
import type { Log } from '../../system/log.js';
import { loadOpenSsl, type OpenSsl } from '../../system/openssl.js';
import { createNodeContext } from './node-context.js';
import { createServerContext, TlsConfigError } from './server-context.js';

/** If it is started with `tls-port`, a server chooses the other transport by itself. */
const NO_OPENSSL =
  'The functions of OpenSSL are not to be had in this Node.js: TLS needs a start with tls-port, or transport node';

export class ServerTls implements TlsControl {
  private readonly usesNode: boolean;
  private readonly openSsl: OpenSsl | null;
  private readonly state: TlsState;
  private readonly config: Config;
  private readonly log: Log;
  /** A context that is not in force yet. */
  private prepared = 0;
  private isPrepared = false;

  /** `usesNode`: connections go through node:tls, where each worker makes a context of its own. */
  constructor(usesNode: boolean, state: TlsState, config: Config, log: Log) {
    this.usesNode = usesNode;
    this.openSsl = usesNode ? null : loadOpenSsl();
    this.state = state;
    this.config = config;
    this.log = log;
  }

  get isReady(): boolean {
    return this.state.version > 0;
  }

  prepare(): boolean {
    this.discard();
    try {
      this.make(readTlsSettings(this.config));
      this.isPrepared = true;
    } catch (error) {
      if (!(error instanceof TlsConfigError)) throw error;
      this.log(error.message, 'warning');
    }
    return this.isPrepared;
  }

  private make(settings: TlsSettings): void {
    if (this.usesNode) createNodeContext(settings);
    else if (this.openSsl === null) throw new TlsConfigError(NO_OPENSSL);
    else this.prepared = createServerContext(this.openSsl, settings);
  }

  publish(): void {
    if (!this.isPrepared) return;
    this.state.publish(this.openSsl, this.prepared);
    this.isPrepared = false;
    this.prepared = 0;
  }

  discard(): void {
    if (this.prepared !== 0) this.openSsl?.freeContext(this.prepared);
    this.isPrepared = false;
    this.prepared = 0;
  }
}
