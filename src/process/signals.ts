/**
 * What signals do. SIGTERM and SIGINT shut the server down (server.ts). Signals that redis-server ignores are ignored
 * here as well; so are those that Node.js uses for itself: SIGUSR1 would open its debugger's port, a way in for
 * everybody on the machine.
 *
 * SIGSEGV is left to V8, which needs it for WebAssembly: the process ends, and its report is what the next start finds
 * in the log (previous-end.ts).
 */

const IGNORED = ['SIGHUP', 'SIGALRM', 'SIGUSR1', 'SIGUSR2'] as const;

/** Ignores signals. To be called as early as possible: until then they have their effect in Node.js. */
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
