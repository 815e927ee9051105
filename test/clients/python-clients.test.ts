/** What programs in Python do: with redis-py, and with Celery, whose queues and results are in the server. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { Authority } from '../tools/certificates.js';
import { freePort } from '../tools/free-port.js';
import { distDirectory, TestServer } from '../tools/server.js';

const runFile = promisify(execFile);
/** The Python whose packages are the system's. */
const PYTHON = '/usr/bin/python3';
const PACKAGES = '/usr/lib/python3/dist-packages';
const SCRIPTS = path.join(distDirectory, '..', 'test', 'clients', 'python');
const TIMEOUT_MS = 200_000;
const THREADS = 4;
const APPLICATIONS = ['documents', 'chat', 'jobs', 'streams', 'fleet'];

function skipWithout(name: string): false | string {
  const isThere = existsSync(PYTHON) && existsSync(PACKAGES) && readdirSync(PACKAGES).includes(name);
  return isThere ? false : `Python's package ${name} is not installed`;
}

function environmentFor(port: number): NodeJS.ProcessEnv {
  return { ...process.env, DAMSELFLY_PORT: String(port), PYTHONDONTWRITEBYTECODE: '1' };
}

/** Runs a script; returns what it prints, or how it has failed. */
async function runPython(script: string, args: readonly string[], port: number): Promise<string> {
  const options = {
    cwd: SCRIPTS,
    env: environmentFor(port),
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  } as const;
  try {
    const { stdout } = await runFile(PYTHON, [script, ...args], options);
    return stdout.trim();
  } catch (error) {
    const { message, stdout, stderr } = error as Error & { stdout: string; stderr: string };
    return `${message}\n${stdout}\n${stderr}`;
  }
}

t.test('redis-py', { skip: skipWithout('redis') }, async (t) => {
  const authority = new Authority();
  const tlsPort = await freePort();
  const directives = authority.directives(authority.sign('server'), tlsPort);
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: THREADS,
    activeWorkers: THREADS,
    directives,
  });
  t.teardown(() => server.stop('SIGKILL'));
  for (const name of APPLICATIONS) {
    t.test(name, async (t) => {
      t.equal(await runPython('applications.py', [String(server.port), name], server.port), 'OK');
    });
  }
  t.test('access, with a password and a certificate', async (t) => {
    const { cert, key } = authority.sign('client');
    const files = [String(tlsPort), authority.ca.cert, cert, key];
    t.equal(await runPython('applications.py', [String(server.port), 'access', ...files], server.port), 'OK');
  });
  t.test('the server has not crashed', async (t) => {
    const client = await server.rawClient();
    t.equal(await client.text('DEBUG', 'VERIFY'), '+OK\r\n');
    client.socket.destroy();
  });
});

t.test('Celery', { skip: skipWithout('celery') || skipWithout('redis') }, async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: THREADS, activeWorkers: THREADS });
  const line = ['-m', 'celery', '-A', 'tasks', 'worker', '-P', 'threads', '-c', '4', '--loglevel', 'WARNING'];
  let output = '';
  const worker: ChildProcess = spawn(PYTHON, line, { cwd: SCRIPTS, env: environmentFor(server.port) });
  for (const stream of [worker.stdout!, worker.stderr!]) {
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-10_000);
    });
  }
  t.teardown(async () => {
    worker.kill('SIGKILL');
    await server.stop('SIGKILL');
  });
  const result = await runPython('celery_calls.py', [], server.port);
  t.equal(result, 'OK');
  if (result !== 'OK') t.comment(output);
});
