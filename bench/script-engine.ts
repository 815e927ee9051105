/**
 * The script engine alone, in this process, beside redis-server: processor time per call, in microseconds.
 *
 *   node dist/bench/script-engine.js [NAME ...]
 *
 * The engine's host replies with constants. Redis's share is that of EVALSHA less that of GET, at a pipeline of 16. Of several
 * batches the fastest counts, so that other work on the machine shows little.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Script, ScriptEngine } from '../src/scripting/engine.js';
import type { ScriptHost, ScriptMemory } from '../src/scripting/host.js';
import { freePort } from '../test/tools/free-port.js';
import { encodeCommand, RawClient } from '../test/tools/raw-client.js';
import { hasProgram } from '../test/tools/server.js';
import { SCRIPT_ARGUMENTS, SCRIPTS } from './scripts.js';

const BATCHES = 9;
const PIPELINE = 16;

const BULK = Buffer.from('$8\r\nxxxxxxxx\r\n');
const ONE = Buffer.from(':1\r\n');
const GET_LETTER = 0x47;

const host: ScriptHost = {
  call(memory: ScriptMemory, pairStart: number): void {
    const reply = memory.bytes[memory.words[2 * pairStart]] === GET_LETTER ? BULK : ONE;
    for (let at = 0; at < reply.length; at++) memory.reply[at] = reply[at];
  },
  interrupt: () => undefined,
  mayCall: () => true,
  log: () => {},
  setProtocol: () => {},
  setReplication: () => {},
};

function packed() {
  const parts = SCRIPT_ARGUMENTS.map((text) => Buffer.from(text));
  const pairs = new Int32Array(2 * parts.length);
  let offset = 0;
  for (const [index, part] of parts.entries()) {
    pairs[2 * index] = offset;
    pairs[2 * index + 1] = part.length;
    offset += part.length;
  }
  return { bytes: Buffer.concat(parts), pairs, start: 0, keyCount: 1, argCount: parts.length - 1 };
}

const engine = new ScriptEngine(host, { version: '7.0.15', versionNumber: 0x0007000f });
const request = packed();

function engineMicroseconds(source: string, calls: number): number {
  const script = engine.compile(createHash('sha1').update(source).digest('hex'), Buffer.from(source));
  if (!(script instanceof Script)) throw new Error(script);
  let least = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < BATCHES; batch++) {
    const before = process.cpuUsage();
    for (let call = 0; call < calls; call++)
      if (!engine.run(script, request, 2)) throw new Error(engine.failure);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / calls);
  }
  return least;
}

/** Processor time of a process so far, in microseconds, to a hundredth of a second. */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ');
  return Number(fields[0]) / 1000;
}

async function redisMicroseconds(
  client: RawClient,
  pid: number,
  command: Buffer,
  calls: number,
): Promise<number> {
  const burst = Buffer.concat(Array.from({ length: PIPELINE }, () => command));
  let least = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < BATCHES; batch++) {
    const before = processorTime(pid);
    const bursts = Math.max(1, Math.round(calls / PIPELINE));
    for (let count = 0; count < bursts; count++) {
      client.socket.write(burst);
      await client.readMany(PIPELINE);
    }
    least = Math.min(least, (processorTime(pid) - before) / (bursts * PIPELINE));
  }
  return least;
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(SCRIPTS);
const port = await freePort();
const redis = hasProgram('redis-server')
  ? spawn('redis-server', ['--port', String(port), '--save', ''], { stdio: 'ignore' })
  : undefined;
let client: RawClient | undefined;
for (let attempt = 0; redis !== undefined && client === undefined && attempt < 100; attempt++) {
  client = await RawClient.connect({ port }).catch(() => undefined);
  if (client === undefined) await new Promise((resolve) => setTimeout(resolve, 50));
}
await client?.text('SET', 'key', '1');
const get =
  client === undefined
    ? 0
    : await redisMicroseconds(client, redis!.pid!, encodeCommand(['GET', 'key']), 40_000);
console.log(
  `${'µs per call'.padEnd(24)}${'engine'.padStart(10)}${'Redis'.padStart(10)}${'ratio'.padStart(8)}`,
);
for (const name of names) {
  const [source, calls] = SCRIPTS[name];
  const ours = engineMicroseconds(source, calls);
  let line = name.padEnd(24) + ours.toFixed(2).padStart(10);
  if (client !== undefined) {
    await client.text('SET', 'key', '1');
    await client.text('SCRIPT', 'LOAD', source);
    const sha = createHash('sha1').update(source).digest('hex');
    const command = encodeCommand(['EVALSHA', sha, '1', ...SCRIPT_ARGUMENTS]);
    const theirs = (await redisMicroseconds(client, redis!.pid!, command, calls)) - get;
    line += theirs.toFixed(2).padStart(10) + (ours / theirs).toFixed(2).padStart(8);
  }
  console.log(line);
}
client?.socket.destroy();
redis?.kill();
