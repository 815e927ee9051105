/** Socket addresses as the kernel lays them out: packing for bind, text for what accept returned. */

import { isIPv6 } from 'node:net';
import { type Libc, Socket } from '../system/libc.js';

export const SOCKET_ADDRESS_BYTES_MAX = 128;

/** Packs an IPv4 or IPv6 address and port. */
export function packInternetAddress(host: string, port: number): Uint8Array {
  if (!isIPv6(host)) {
    const packed = new Uint8Array(16);
    new DataView(packed.buffer).setUint16(0, Socket.AF_INET, true);
    new DataView(packed.buffer).setUint16(2, port, false);
    packed.set(host.split('.').map(Number), 4);
    return packed;
  }
  const packed = new Uint8Array(28);
  const view = new DataView(packed.buffer);
  view.setUint16(0, Socket.AF_INET6, true);
  view.setUint16(2, port, false);
  const [head, tail] = host.split('%')[0].split('::');
  const parse = (part: string | undefined): number[] =>
    part === undefined || part === ''
      ? []
      : part.split(':').flatMap((group) => {
          if (!group.includes('.')) return [Number.parseInt(group, 16)];
          const bytes = group.split('.').map(Number);
          return [bytes[0] * 256 + bytes[1], bytes[2] * 256 + bytes[3]];
        });
  const front = parse(head);
  const back = parse(tail);
  const groups = [...front, ...new Array(8 - front.length - back.length).fill(0), ...back];
  for (let index = 0; index < 8; index++) view.setUint16(8 + 2 * index, groups[index], false);
  return packed;
}

/** Packs a path, or a name without a file (unix(7)): it begins with a zero, and ends where the address does. */
export function packUnixAddress(path: string): Uint8Array {
  const encoded = new TextEncoder().encode(path);
  const packed = new Uint8Array(2 + encoded.length + (path.startsWith('\0') ? 0 : 1));
  packed[0] = Socket.AF_UNIX;
  packed.set(encoded, 2);
  return packed;
}

/** "127.0.0.1:6379", "[::1]:6379", or "" for a unix socket. */
export function formatAddress(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const family = view.getUint16(0, true);
  if (family === Socket.AF_INET) {
    return `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}:${view.getUint16(2, false)}`;
  }
  if (family !== Socket.AF_INET6) return '';
  return `[${formatGroups(view)}]:${view.getUint16(2, false)}`;
}

/** What the calls fill, the same for all sockets: where a buffer is takes as long to ask as the call. */
const answer = new Uint8Array(SOCKET_ADDRESS_BYTES_MAX);
const answerLength = new Uint32Array(1);
let answerAddress = 0;
let answerLengthAddress = 0;

/** The address of a socket, or with `ofPeer` of its other end, as text; '' if the socket has none any more. */
export function socketAddress(libc: Libc, fd: number, ofPeer: boolean): string {
  if (answerAddress === 0) {
    answerAddress = libc.addressOf(answer);
    answerLengthAddress = libc.addressOf(new Uint8Array(answerLength.buffer));
  }
  answerLength[0] = SOCKET_ADDRESS_BYTES_MAX;
  const call = ofPeer ? libc.peerName : libc.socketName;
  return call(fd, answerAddress, answerLengthAddress) < 0 ? '' : formatAddress(answer);
}

/** The eight groups of an IPv6 address as text: the longest run of two or more zeros becomes "::" (RFC 5952). */
function formatGroups(view: DataView): string {
  const groups: number[] = [];
  for (let index = 0; index < 8; index++) groups.push(view.getUint16(8 + 2 * index, false));
  let runStart = 0;
  let runLength = 0;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > runLength) {
      runStart = start;
      runLength = length;
    }
  }
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  if (runLength < 2) return text(0, 8);
  return `${text(0, runStart)}::${text(runStart + runLength, 8)}`;
}

/** Whether `formatAddress` text is of this machine's loopback interface or a unix socket. */
export function isLoopbackAddress(address: string): boolean {
  return address === '' || address.startsWith('127.') || address.startsWith('[::1]');
}
