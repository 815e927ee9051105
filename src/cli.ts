#!/usr/bin/env node
/** The command line. */

import { startServer } from './server.js';

const argument = (name: string, otherwise: string): string => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
};
await startServer(Number(argument('port', '6379')), Number(argument('threads', '2')));
