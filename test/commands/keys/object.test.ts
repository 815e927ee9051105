/** OBJECT ENCODING of strings after what makes and changes them. */

import t from 'tap';
import { withServers } from '../../tools/server.js';

const ENCODINGS: readonly [commands: string, encoding: string][] = [
  ['SET k 12', 'int'],
  ['SET k 012', 'embstr'],
  ['SET k abc', 'embstr'],
  [`SET k ${'x'.repeat(44)}`, 'embstr'],
  [`SET k ${'x'.repeat(45)}`, 'raw'],
  ['SET k 1; APPEND k 2', 'raw'],
  ['SET k 1; APPEND k 2; INCR k', 'int'],
  ['INCRBYFLOAT k 3', 'embstr'],
  ['INCRBYFLOAT k 3; EXPIRE k 100', 'embstr'],
  ['INCRBYFLOAT k 3; EXPIRE k 100; PERSIST k', 'embstr'],
  ['INCRBYFLOAT k 3; INCR k', 'int'],
  ['INCRBYFLOAT k 3; SET k 4', 'int'],
  ['INCRBYFLOAT k 3; SETRANGE k 0 4', 'raw'],
  ['INCRBYFLOAT other 3; COPY other k', 'embstr'],
  ['INCRBYFLOAT other 3; RENAME other k', 'embstr'],
  ['INCRBYFLOAT other 3; APPEND other 1; RENAME other k', 'raw'],
];

withServers(t, 'OBJECT ENCODING', {}, async (t, server) => {
  const client = server.client();
  for (const [commands, encoding] of ENCODINGS) {
    await client.flushall();
    for (const command of commands.split('; ')) {
      const [name, ...args] = command.split(' ');
      await client.call(name, ...args);
    }
    t.equal(await client.call('OBJECT', 'ENCODING', 'k'), encoding, commands);
  }
});
