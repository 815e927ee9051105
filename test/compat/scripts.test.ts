/**
 * Fixed scripts that redis-server and Damselfly answer with the same bytes. A line is a command, its words parted by
 * blanks; what a command of a script does not reply at once, its next one does.
 */

import t from 'tap';
import { skipWithoutRedis, TestServer } from '../tools/server.js';

const SCRIPTS: Readonly<Record<string, string>> = {
  'CLIENT REPLY OFF inside a transaction': `
    MULTI
    CLIENT REPLY OFF
    PING
    EXEC
    PING
    CLIENT REPLY ON
    PING`,
  'CLIENT REPLY SKIP inside a transaction': `
    MULTI
    CLIENT REPLY SKIP
    PING
    EXEC
    PING
    PING`,
  'CLIENT REPLY ON inside a transaction': `
    CLIENT REPLY OFF
    MULTI
    PING
    CLIENT REPLY ON
    PING
    EXEC
    PING`,
  'CLIENT REPLY SKIP before a transaction': `
    CLIENT REPLY SKIP
    MULTI
    PING
    EXEC
    PING`,
  'DEBUG SLEEP of what is no number': `
    DEBUG SLEEP x
    DEBUG SLEEP -1
    DEBUG SLEEP 0.001s
    PING`,
  'XREADGROUP after the largest id': `
    XADD s 5-1 field value
    XGROUP CREATE s g 0
    XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551615
    XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551615
    XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551614
    XPENDING s g`,
  'DEBUG PROTOCOL in RESP2': protocolSamples('2'),
  'DEBUG PROTOCOL in RESP3': protocolSamples('3'),
};

function protocolSamples(protocol: string): string {
  const types = 'string integer double bignum null array set map attrib push verbatim true false other';
  return [`HELLO ${protocol}`, ...types.split(' ').map((type) => `DEBUG PROTOCOL ${type}`)].join('\n');
}

function wordsOf(script: string): string[][] {
  return script
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => line.split(' '));
}

/** What a server answers, as text; HELLO tells of the server. */
async function answersOf(server: TestServer, script: string): Promise<string> {
  const client = await server.rawClient();
  const commands = wordsOf(script);
  for (const command of commands) client.send(...command);
  // The end is known by the answer to a command that only this client sends.
  client.send('CLIENT', 'REPLY', 'ON');
  client.send('ECHO', 'the end of the script');
  let text = '';
  while (!text.endsWith('the end of the script\r\n')) text += (await client.read()).toString('latin1');
  return text.replace(/^[*%]\d+\r\n\$6\r\nserver[\s\S]*?modules\r\n\*0\r\n/, '');
}

t.test('fixed scripts', { skip: skipWithoutRedis() }, async (t) => {
  const [theirs, ours] = await Promise.all([
    TestServer.start({ kind: 'redis' }),
    TestServer.start({ kind: 'damselfly', threads: 2 }),
  ]);
  t.teardown(() => Promise.all([theirs.stop('SIGKILL'), ours.stop('SIGKILL')]));
  for (const [name, script] of Object.entries(SCRIPTS)) {
    t.equal(await answersOf(ours, script), await answersOf(theirs, script), name);
  }
});
