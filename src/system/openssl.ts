/**
 * The OpenSSL that is part of Node.js, called directly through koffi: TLS in the loop of a thread that makes its system
 * calls by itself. Pointers are plain numbers, as in libc.ts. An object of OpenSSL may go from one thread to another, but
 * only one may use it at a time; contexts (SSL_CTX) and BIOs that are only counted may be shared.
 *
 * `loadOpenSsl` returns null where koffi does not load or Node.js does not export the functions (it may be built with
 * another library); node:tls serves then.
 */

import { createRequire } from 'node:module';

type Address = number;

/** Results of SSL_get_error. */
export const enum SslError {
  Ssl = 1,
  WantRead = 2,
  WantWrite = 3,
  SystemCall = 5,
  ZeroReturn = 6,
}

/** Bits of SSL_CTX_set_options. */
export const enum SslOption {
  CipherServerPreference = 1 << 22,
  NoSsl3 = 1 << 25,
  NoTls1 = 1 << 26,
  NoTls12 = 1 << 27,
  NoTls11 = 1 << 28,
  NoTls13 = 1 << 29,
  NoRenegotiation = 1 << 30,
  NoCompression = 1 << 17,
}

/** Commands of SSL_CTX_ctrl. */
export const enum ContextControl {
  Mode = 33,
  SessionCacheSize = 42,
  SessionCacheMode = 44,
}

export const enum SslMode {
  /** Gives the buffers for records back while a connection is idle: some 34 KiB. */
  ReleaseBuffers = 0x10,
}

export const enum SessionCache {
  Off = 0,
  Server = 2,
}

/** Bits of SSL_CTX_set_verify. */
export const enum VerifyMode {
  None = 0,
  Peer = 1,
  FailIfNoPeerCertificate = 2,
}

/** BIO_ctrl: drops what a memory BIO holds. */
export const BIO_RESET = 1;
/** SSL_CTX_use_PrivateKey_file: PEM. */
export const FILE_IS_PEM = 1;
export const NID_COMMON_NAME = 13;

export interface OpenSsl {
  tlsMethod(): Address;
  newContext(method: Address): Address;
  freeContext(context: Address): void;
  /** Adds an owner: freeContext has to be called once more. */
  shareContext(context: Address): number;
  controlContext(context: Address, command: number, value: number, pointer: Address): number;
  setOptions(context: Address, options: number): number;
  useCertificateChain(context: Address, file: string): number;
  usePrivateKey(context: Address, file: string, type: number): number;
  checkPrivateKey(context: Address): number;
  /** `password`: address of a text that ends with a zero, used until the next call. */
  setPassword(context: Address, password: Address): void;
  /** `null` for none. */
  loadVerifyLocations(context: Address, file: string | null, directory: string | null): number;
  setVerify(context: Address, mode: number, callback: Address): void;
  setCipherList(context: Address, ciphers: string): number;
  setCipherSuites(context: Address, suites: string): number;
  setSessionIdContext(context: Address, id: Address, lengthBytes: number): number;
  setSessionTimeout(context: Address, seconds: number): number;
  /** How many tickets a TLS 1.3 client gets with a handshake, to resume its session with. */
  setTickets(context: Address, count: number): number;
  /** The context owns the parameters from then on, if it takes them. */
  setDhParameters(context: Address, parameters: Address): number;
  readParameters(bio: Address, old: Address, library: Address, properties: Address): Address;
  freeKey(key: Address): void;

  newSession(context: Address): Address;
  freeSession(session: Address): void;
  setDescriptor(session: Address, fd: number): number;
  setAcceptState(session: Address): void;
  setSessionVerify(session: Address, mode: number, callback: Address): void;
  /** The session takes one reference of each BIO. */
  setBios(session: Address, input: Address, output: Address): void;
  handshake(session: Address): number;
  read(session: Address, buffer: Address, lengthBytes: number): number;
  write(session: Address, buffer: Address, lengthBytes: number): number;
  shutdown(session: Address): number;
  error(session: Address, result: number): SslError;
  /** 0x303 for TLS 1.2, 0x304 for TLS 1.3. */
  version(session: Address): number;
  wasResumed(session: Address): number;
  peerCertificate(session: Address): Address;
  subjectOf(certificate: Address): Address;
  nameText(name: Address, nid: number, buffer: Address, lengthBytes: number): number;
  freeCertificate(certificate: Address): void;

  memoryMethod(): Address;
  newBio(method: Address): Address;
  /** A BIO for a file; 0 if it can't be opened. */
  openFile(path: string, mode: string): Address;
  shareBio(bio: Address): number;
  freeBio(bio: Address): number;
  readBio(bio: Address, buffer: Address, lengthBytes: number): number;
  writeBio(bio: Address, buffer: Address, lengthBytes: number): number;
  controlBio(bio: Address, command: number, value: number, pointer: Address): number;
  pendingInBio(bio: Address): number;

  /** Returns and clears the errors of this thread's last calls, the newest last: `error:0A00010B:SSL routines::…`. */
  takeErrors(): string[];
  /** A text as OpenSSL's functions take it by address. Valid as long as `bytes` lives. */
  addressOf(bytes: Uint8Array): Address;
}

/** OpenSSL's error for a stream that ends without a TLS close message. */
export const UNEXPECTED_END = 'error:0A000126:SSL routines::unexpected eof while reading';

/** Of several errors, the last one of the TLS layer itself, rather than one of a cipher or a signature before it. */
export function tlsReason(errors: readonly string[]): string | undefined {
  return errors.filter((error) => error.includes(':SSL routines:')).at(-1) ?? errors[0];
}

const ERROR_BYTES = 256;
const ERRORS_MAX = 16;

let loaded: OpenSsl | null | undefined;

/** This thread's bindings of the functions, or null where they are not available. */
export function loadOpenSsl(): OpenSsl | null {
  if (loaded === undefined) loaded = process.platform === 'linux' ? bindFunctions() : null;
  return loaded;
}

function bindFunctions(): OpenSsl | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi');
    const library = koffi.load(null);
    const bind = (name: string, result: string, parameters: string[]) =>
      library.func(name, result, parameters);
    const pointer = 'intptr_t';
    const text = 'const char *';
    const lastError = bind('ERR_get_error', 'ulong', []);
    const errorText = bind('ERR_error_string_n', 'void', ['ulong', pointer, 'size_t']);
    const clearErrors = bind('ERR_clear_error', 'void', []);
    const room = new Uint8Array(ERROR_BYTES);
    const addressOf = (bytes: Uint8Array): Address => Number(koffi.address(bytes));
    const roomAddress = addressOf(room);
    return {
      tlsMethod: bind('TLS_method', pointer, []),
      newContext: bind('SSL_CTX_new', pointer, [pointer]),
      freeContext: bind('SSL_CTX_free', 'void', [pointer]),
      shareContext: bind('SSL_CTX_up_ref', 'int', [pointer]),
      controlContext: bind('SSL_CTX_ctrl', 'long', [pointer, 'int', 'long', pointer]),
      setOptions: bind('SSL_CTX_set_options', 'uint64_t', [pointer, 'uint64_t']),
      useCertificateChain: bind('SSL_CTX_use_certificate_chain_file', 'int', [pointer, text]),
      usePrivateKey: bind('SSL_CTX_use_PrivateKey_file', 'int', [pointer, text, 'int']),
      checkPrivateKey: bind('SSL_CTX_check_private_key', 'int', [pointer]),
      setPassword: bind('SSL_CTX_set_default_passwd_cb_userdata', 'void', [pointer, pointer]),
      loadVerifyLocations: bind('SSL_CTX_load_verify_locations', 'int', [pointer, text, text]),
      setVerify: bind('SSL_CTX_set_verify', 'void', [pointer, 'int', pointer]),
      setCipherList: bind('SSL_CTX_set_cipher_list', 'int', [pointer, text]),
      setCipherSuites: bind('SSL_CTX_set_ciphersuites', 'int', [pointer, text]),
      setSessionIdContext: bind('SSL_CTX_set_session_id_context', 'int', [pointer, pointer, 'uint']),
      setSessionTimeout: bind('SSL_CTX_set_timeout', 'long', [pointer, 'long']),
      setTickets: bind('SSL_CTX_set_num_tickets', 'int', [pointer, 'size_t']),
      setDhParameters: bind('SSL_CTX_set0_tmp_dh_pkey', 'int', [pointer, pointer]),
      readParameters: bind('PEM_read_bio_Parameters_ex', pointer, [pointer, pointer, pointer, pointer]),
      freeKey: bind('EVP_PKEY_free', 'void', [pointer]),
      newSession: bind('SSL_new', pointer, [pointer]),
      freeSession: bind('SSL_free', 'void', [pointer]),
      setDescriptor: bind('SSL_set_fd', 'int', [pointer, 'int']),
      setAcceptState: bind('SSL_set_accept_state', 'void', [pointer]),
      setSessionVerify: bind('SSL_set_verify', 'void', [pointer, 'int', pointer]),
      setBios: bind('SSL_set_bio', 'void', [pointer, pointer, pointer]),
      handshake: bind('SSL_do_handshake', 'int', [pointer]),
      read: bind('SSL_read', 'int', [pointer, pointer, 'int']),
      write: bind('SSL_write', 'int', [pointer, pointer, 'int']),
      shutdown: bind('SSL_shutdown', 'int', [pointer]),
      error: bind('SSL_get_error', 'int', [pointer, 'int']),
      version: bind('SSL_version', 'int', [pointer]),
      wasResumed: bind('SSL_session_reused', 'int', [pointer]),
      peerCertificate: bind('SSL_get1_peer_certificate', pointer, [pointer]),
      subjectOf: bind('X509_get_subject_name', pointer, [pointer]),
      nameText: bind('X509_NAME_get_text_by_NID', 'int', [pointer, 'int', pointer, 'int']),
      freeCertificate: bind('X509_free', 'void', [pointer]),
      memoryMethod: bind('BIO_s_mem', pointer, []),
      newBio: bind('BIO_new', pointer, [pointer]),
      openFile: bind('BIO_new_file', pointer, [text, text]),
      shareBio: bind('BIO_up_ref', 'int', [pointer]),
      freeBio: bind('BIO_free', 'int', [pointer]),
      readBio: bind('BIO_read', 'int', [pointer, pointer, 'int']),
      writeBio: bind('BIO_write', 'int', [pointer, pointer, 'int']),
      controlBio: bind('BIO_ctrl', 'long', [pointer, 'int', 'long', pointer]),
      pendingInBio: bind('BIO_ctrl_pending', 'size_t', [pointer]),
      takeErrors: () => {
        const errors: string[] = [];
        for (let code = lastError(); code !== 0 && errors.length < ERRORS_MAX; code = lastError()) {
          errorText(code, roomAddress, ERROR_BYTES);
          errors.push(Buffer.from(room.subarray(0, room.indexOf(0))).toString('latin1'));
        }
        clearErrors();
        return errors;
      },
      addressOf,
    };
  } catch {
    return null;
  }
}
