/**
 * Random scripts, in the engine and on redis-server: every byte of the replies agrees.
 *
 *   node dist/test/scripting/random-scripts.test.js [FIRST SEED] [SCRIPTS]
 */
import t from 'tap';
import { Random } from '../tools/random.js';
import type { RawClient } from '../tools/raw-client.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';
import { ScriptGenerator } from './script-generator.js';
import { TestEngine } from './test-engine.js';

const FIRST_SEED = Number(process.argv[2] ?? 0);
const SCRIPTS = Number(process.argv[3] ?? 600);

/** Addresses, and what depends on them, differ; so does the exponent of NaN, and what the globals hold. */
function isComparable(script: string, reply: string): boolean {
  return !/0x[0-9a-f]{6}/.test(reply) && !reply.includes('"KEYS"=') && !script.includes('frexp');
}

/** A redis-server with a client of each protocol. Some scripts crash it; then there is a new one. */
class Oracle {
  private server: TestServer | undefined;
  private clients: RawClient[] = [];

  /** A script's reply, undefined if the server has crashed. */
  async reply(script: Buffer, protocol: 2 | 3): Promise<string | undefined> {
    if (this.server === undefined) {
      this.server = await TestServer.start({ kind: 'redis' });
      this.clients = [await this.server.rawClient(), await this.server.rawClient()];
      await this.clients[1].text('HELLO', '3');
    }
    try {
      return await this.clients[protocol - 2].text('EVAL', script, '2', 'k1', 'k2', 'a1', 'a2');
    } catch {
      await this.stop();
      return undefined;
    }
  }

  async stop(): Promise<void> {
    await this.server?.stop();
    this.server = undefined;
  }
}

t.test(
  'random scripts agree with redis-server',
  { skip: skipWithoutRedis(), timeout: 3_600_000 },
  async (t) => {
    const oracle = new Oracle();
    const tested = new TestEngine();
    let compared = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SCRIPTS; seed++) {
      const script = Buffer.from(new ScriptGenerator(new Random(seed)).script());
      const protocol = seed % 2 === 0 ? 2 : 3;
      const expected = await oracle.reply(script, protocol);
      const source = script.toString('latin1');
      const actual = tested.eval(source, ['k1', 'k2'], ['a1', 'a2'], protocol);
      if (actual === expected) compared++;
      else if (expected !== undefined && isComparable(source, expected)) {
        t.equal(actual, expected, `seed ${seed}: ${source}`);
      }
    }
    t.ok(compared > SCRIPTS * 0.95, 'nearly all scripts have the same reply');
    await oracle.stop();
  },
);
