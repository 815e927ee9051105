/** Opens the listening sockets that the configuration asks for. */

import { lookup } from 'node:dns/promises';
import { chmodSync, rmSync } from 'node:fs';
import { isIP, isIPv6 } from 'node:net';
import { Errno, type Libc, Socket } from '../system/libc.js';
import { packInternetAddress, packUnixAddress } from './socket-address.js';

/** What connections to a listening socket have from it (tcp(7)), so that it need not be set with each. */
export interface SocketOptions {
  readonly backlog: number;
  /** Seconds; 0 turns keepalive off. */
  readonly keepAliveSeconds: number;
}

export interface ListenOptions extends SocketOptions {
  /** Addresses as in the `bind` directive; a leading "-" means that it may be unavailable. */
  bind: readonly string[];
  /** 0: no TCP. */
  port: number;
  /** 0: no TLS. */
  tlsPort: number;
  /** Path of a unix socket, '' for none. */
  unixSocket: string;
  /** File mode of the unix socket, 0 for the default. */
  unixSocketMode: number;
}

export interface ListeningSocket {
  fd: number;
  isUnix: boolean;
  /** Whether its connections use TLS. */
  isTls: boolean;
  description: string;
}

/** Opens all sockets. Throws an Error with a one-line message if one can't be opened. */
export async function openListeners(libc: Libc, options: ListenOptions): Promise<ListeningSocket[]> {
  const sockets = await openInternetListeners(libc, options);
  if (options.unixSocket !== '') sockets.push(openUnixListener(libc, options));
  return sockets;
}

/** Opens the TCP sockets, all or none. Throws as `openListeners`. */
export async function openInternetListeners(
  libc: Libc,
  options: Pick<ListenOptions, 'bind' | 'port' | 'tlsPort'> & SocketOptions,
): Promise<ListeningSocket[]> {
  const { bind, port, tlsPort } = options;
  const plain = await openPort(libc, bind, port, false, options);
  try {
    return [...plain, ...(await openPort(libc, bind, tlsPort, true, options))];
  } catch (error) {
    for (const socket of plain) libc.close(socket.fd);
    throw error;
  }
}

/** Opens one port on all addresses, or none; port 0 is none. Throws as `openListeners`. */
export async function openPort(
  libc: Libc,
  bind: readonly string[],
  port: number,
  isTls: boolean,
  options: SocketOptions,
): Promise<ListeningSocket[]> {
  const sockets: ListeningSocket[] = [];
  if (port === 0) return sockets;
  try {
    for (const entry of bind) {
      const { host, mayBeMissing } = await resolveBindEntry(entry);
      const opened = openInternet(libc, host, port, options);
      if (opened instanceof ListenFailure) {
        // Optional means that the machine may lack the address, not that its port may be taken.
        if (opened.isUnavailable && mayBeMissing) continue;
        throw new Error(`can't listen on ${entry} port ${port}: ${opened.message}`);
      }
      sockets.push({ fd: opened, isUnix: false, isTls, description: `${host}:${port}` });
    }
    if (sockets.length === 0 && bind.length > 0)
      throw new Error(`can't listen on port ${port}: no address is available`);
  } catch (error) {
    for (const socket of sockets) libc.close(socket.fd);
    throw error;
  }
  return sockets;
}

function openUnixListener(libc: Libc, options: ListenOptions): ListeningSocket {
  rmSync(options.unixSocket, { force: true });
  const fd = libc.socket(Socket.AF_UNIX, Socket.SOCK_STREAM | Socket.SOCK_NONBLOCK | Socket.SOCK_CLOEXEC, 0);
  if (fd < 0) throw new Error(`can't listen on ${options.unixSocket}: ${libc.errorText(libc.errno())}`);
  const failure = bindAndListen(libc, fd, packUnixAddress(options.unixSocket), options.backlog);
  if (failure !== null) throw new Error(`can't listen on ${options.unixSocket}: ${failure.message}`);
  if (options.unixSocketMode !== 0) chmodSync(options.unixSocket, options.unixSocketMode);
  return { fd, isUnix: true, isTls: false, description: options.unixSocket };
}

/** Why a socket can't listen. */
class ListenFailure extends Error {
  /** The machine does not have the address or its family. */
  readonly isUnavailable: boolean;

  constructor(errno: number, text: string) {
    super(text);
    this.isUnavailable =
      errno === Errno.EADDRNOTAVAIL ||
      errno === Errno.EAFNOSUPPORT ||
      errno === Errno.EPFNOSUPPORT ||
      errno === Errno.ESOCKTNOSUPPORT ||
      errno === Errno.EPROTONOSUPPORT ||
      errno === Errno.ENOPROTOOPT;
  }
}

function lastFailure(libc: Libc): ListenFailure {
  const errno = libc.errno();
  return new ListenFailure(errno, libc.errorText(errno));
}

/** The address of an entry of `bind`, and whether the machine may lack it. */
export async function resolveBindEntry(entry: string): Promise<{ host: string; mayBeMissing: boolean }> {
  const isOptional = entry.startsWith('-');
  const host = await resolveHost(isOptional ? entry.slice(1) : entry);
  return { host, mayBeMissing: isOptional || host === '::' };
}

async function resolveHost(name: string): Promise<string> {
  if (name === '*') return '0.0.0.0';
  if (name === '::*') return '::';
  if (isIP(name) !== 0) return name;
  try {
    return (await lookup(name)).address;
  } catch {
    throw new Error(`can't find the address of '${name}'`);
  }
}

function openInternet(
  libc: Libc,
  host: string,
  port: number,
  { backlog, keepAliveSeconds }: SocketOptions,
): number | ListenFailure {
  const family = isIPv6(host) ? Socket.AF_INET6 : Socket.AF_INET;
  const fd = libc.socket(family, Socket.SOCK_STREAM | Socket.SOCK_NONBLOCK | Socket.SOCK_CLOEXEC, 0);
  if (fd < 0) return lastFailure(libc);
  setIntegerOption(libc, fd, Socket.SOL_SOCKET, Socket.SO_REUSEADDR, 1);
  if (family === Socket.AF_INET6) setIntegerOption(libc, fd, Socket.IPPROTO_IPV6, Socket.IPV6_V6ONLY, 1);
  setIntegerOption(libc, fd, Socket.IPPROTO_TCP, Socket.TCP_NODELAY, 1);
  setKeepAlive(libc, fd, keepAliveSeconds);
  return bindAndListen(libc, fd, packInternetAddress(host, port), backlog) ?? fd;
}

/** Sets when the connections that come to a socket from now on are probed (`tcp-keepalive`). */
export function setKeepAlive(libc: Libc, fd: number, keepAliveSeconds: number): void {
  setIntegerOption(libc, fd, Socket.SOL_SOCKET, Socket.SO_KEEPALIVE, keepAliveSeconds === 0 ? 0 : 1);
  if (keepAliveSeconds === 0) return;
  const intervalSeconds = Math.max(1, Math.floor(keepAliveSeconds / 3));
  setIntegerOption(libc, fd, Socket.IPPROTO_TCP, Socket.TCP_KEEPIDLE, keepAliveSeconds);
  setIntegerOption(libc, fd, Socket.IPPROTO_TCP, Socket.TCP_KEEPINTVL, intervalSeconds);
  setIntegerOption(libc, fd, Socket.IPPROTO_TCP, Socket.TCP_KEEPCNT, 3);
}

function bindAndListen(libc: Libc, fd: number, address: Uint8Array, backlog: number): ListenFailure | null {
  if (
    libc.bind(fd, libc.addressOf(address), address.length) === 0 &&
    libc.listen(fd, Math.min(backlog, 65535)) === 0
  ) {
    return null;
  }
  const failure = lastFailure(libc);
  libc.close(fd);
  return failure;
}

/** The value of an option, in one place for all: it has to live as long as its address is used. */
const optionValue = new Int32Array(1);
let optionAddress = 0;

/** Sets a socket option whose value is an int. */
function setIntegerOption(libc: Libc, fd: number, level: number, option: number, value: number): void {
  if (optionAddress === 0) optionAddress = libc.addressOf(new Uint8Array(optionValue.buffer));
  optionValue[0] = value;
  libc.setOption(fd, level, option, optionAddress, 4);
}
