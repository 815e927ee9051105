/**
 * What signals do. SIGTERM and SIGINT shut the server down (server.ts). Those that redis-server takes no notice of are
 * ignored here as well; and those that Node.js has a use for of its own: SIGUSR1 would open its debugger's port, a way
 * in for everybody on the machine.
 *
 * SIGSEGV is left to V8, which needs it for WebAssembly: the process ends, and its report is what the next start finds
 * in the log (previous-end.ts).
 */

const IGNORED = ['SIGHUP', 'SIGALRM', 'SIGUSR1', 'SIGUSR2'] as const;

/** Ignores signals. As early as possible: until then they do what they do to Node.js. */
export function ignoreSignals(): void {
  for (const signal of IGNORED) process.on(signal, () => {});
}

/** Has `report` run before SIGABRT ends the process, as it does when it is sent from outside. */
export function reportAbort(report: () => void): void {
  process.once('SIGABRT', () => {
    report();
    process.kill(process.pid, 'SIGABRT');
  });
}
