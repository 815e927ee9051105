/** Bytes on the wire: inline commands, requests that are cut, broken or hostile. */

import { Buffer } from 'node:buffer';
import { encodeCommand } from '../../tools/raw-client.js';
import type { Family } from '../family.js';
import type { Vocabulary } from '../vocabulary.js';

const PIECES: readonly (string | ((v: Vocabulary) => string | Buffer))[] = [
  (v) => encodeCommand(['SET', v.key(), v.value()]),
  (v) => encodeCommand(['GET', v.key()]),
  (v) => encodeCommand(['PING', v.value()]),
  (v) => encodeCommand(['ECHO', 'x'.repeat(v.between(1, 40_000))]),
  (v) => `PING${v.pick(['\r\n', '\n'])}`,
  '\r\n',
  '\n',
  'SET inline value\r\n',
  'get inline\r\n',
  '  GET   inline  \r\n',
  'SET "quoted key" "a\\x41\\n\\r\\t\\b\\a\\"b"\r\n',
  "SET 'single' 'it\\'s \\n'\r\n",
  "GET 'single'\r\n",
  'ECHO "unbalanced\r\n',
  "ECHO 'x'y\r\n",
  'ECHO ""\r\n',
  'ECHO "\\xzz\\xff"\r\n',
  'NOSUCH a b c\r\n',
  '*0\r\n',
  '*-1\r\n',
  '*-2147483648\r\n',
  '*1\r\n$4\r\nPING\r\n',
  '*1\r\n$4\r\nPINGxx',
  '*2\r\n$4\r\nECHO\r\n$0\r\n\r\n',
  '*1048577\r\n',
  '*1048576\r\n',
  '*2147483648\r\n',
  '*x\r\n',
  '*\r\n',
  '*1 \r\n',
  '*+1\r\n',
  '*01\r\n$4\r\nPING\r\n',
  '*1\r\nPING\r\n',
  '*1\r\n:4\r\nPING\r\n',
  '*1\r\n$-1\r\n',
  '*1\r\n$x\r\n',
  '*1\r\n$\r\n',
  '*1\r\n$536870913\r\n',
  '*1\r\n$99999999999999999999\r\n',
  '*1\r\n$4 \r\nPING\r\n',
  '*2\r\n$4\r\nECHO\r\n$10\r\nshort\r\n',
  '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n',
  '$4\r\nPING\r\n',
  '+PING\r\n',
  '-1\r\n',
  'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
  'POST / HTTP/1.1\r\n\r\n',
  'Host: example\r\n',
  Buffer.from([0, 1, 2, 3, 0x0d, 0x0a]).toString('latin1'),
  '*2\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n',
  '*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n',
  '*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n',
  '*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n',
  '*1\r\n$4\r\nQUIT\r\n',
  '*1\r\n$5\r\nMULTI\r\n',
  '*1\r\n$4\r\nEXEC\r\n',
  '*2\r\n$5\r\nHELLO\r\n$1\r\n9\r\n',
  // Around 64 KiB the outcome depends on how many bytes each read happens to bring: see test/protocol.
  (v) => `${'A'.repeat(v.pick([100, 60_000]))}${v.pick(['', '\r\n'])}`,
  (v) => `*1\r\n$${'1'.repeat(v.pick([3, 1000]))}`,
  (v) => `*${'1'.repeat(v.pick([3, 1000]))}`,
];

export const protocol: Family = {
  name: 'protocol',
  commands: [
    [1, () => ['PING']],
    [1, (v) => ['SET', v.key(), v.value()]],
    [1, (v) => ['GET', v.key()]],
  ],
  bytes(v) {
    const parts: Buffer[] = [];
    for (let i = v.between(1, 6); i > 0; i--) {
      const piece = v.pick(PIECES);
      const bytes = typeof piece === 'string' ? piece : piece(v);
      parts.push(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    }
    const all = Buffer.concat(parts);
    const writes: Buffer[] = [];
    let at = 0;
    for (let cuts = v.pick([0, 0, 1, 2, 5]); cuts > 0 && at < all.length; cuts--) {
      const end = v.between(at, Math.min(all.length, at + (v.chance(0.5) ? 30 : 70_000)));
      if (end > at) writes.push(all.subarray(at, end));
      at = end;
    }
    if (at < all.length) writes.push(all.subarray(at));
    return writes;
  },
};
