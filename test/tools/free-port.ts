/**
 * Ports for the servers of tests. They are below those that the system gives to outgoing connections, so that no client
 * takes one before its server listens, and no test file gets one that another file, running beside it, has got.
 */

import net from 'node:net';

const FIRST = 12_000;
const COUNT = 18_000;

/** A port of 127.0.0.1 that nothing listens on. It is this process's until it ends. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    // A name in the abstract namespace: only one process can have it, and it goes with the process.
    const reserved = await listen({ path: `\0damselfly-test-port-${port}` });
    if (reserved === null) continue;
    const probe = await listen({ host: '127.0.0.1', port });
    if (probe === null) {
      reserved.close();
      continue;
    }
    reserved.unref();
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
}

/** A server at an address, null if that is taken. */
function listen(address: net.ListenOptions): Promise<net.Server | null> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(null);
      else reject(error);
    });
    server.listen(address, () => resolve(server));
  });
}
