/** Exits with 0 if the server in this container answers PING; it may ask for a password. */

import { readFileSync } from 'node:fs';
import net from 'node:net';

/** The port that the container's first process was told, by its command line or else by its configuration file. */
function serverPort() {
  const words = readFileSync('/proc/1/cmdline', 'utf8').split('\0');
  const at = words.lastIndexOf('--port');
  if (at >= 0) return Number(words[at + 1]);
  const file = words.find((word) => word.endsWith('.conf'));
  const lines = file === undefined ? [] : readFileSync(file, 'utf8').matchAll(/^\s*port\s+"?(\d+)/gim);
  return Number([...lines].at(-1)?.[1] ?? 6379);
}

const socket = net.connect(Number(process.env.DAMSELFLY_HEALTHCHECK_PORT ?? serverPort()), '127.0.0.1');
socket.setTimeout(2500, () => process.exit(1));
socket.on('error', () => process.exit(1));
socket.on('connect', () => socket.write('*1\r\n$4\r\nPING\r\n'));
socket.on('data', (reply) => process.exit(/^(\+PONG|-NOAUTH)/.test(reply.toString('latin1')) ? 0 : 1));
socket.on('close', () => process.exit(1));
