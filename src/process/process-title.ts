/** The title of the process in lists such as ps shows them (`set-proc-title`, `proc-title-template`). */

import type { Config } from '../config/config.js';

/** The title that the template stands for. */
export function formatTitle(config: Config): string {
  const { port, unixSocket, bind } = config;
  const address = bind.length === 0 ? '*' : bind[0];
  const values: Readonly<Record<string, string>> = {
    title: 'damselfly',
    'listen-addr': port === 0 && unixSocket !== '' ? unixSocket : `${address}:${port}`,
    'server-mode': '',
    port: String(port),
    'tls-port': config.value('tls-port'),
    unixsocket: unixSocket,
    'config-file': config.configFile ?? '',
  };
  return config.titleTemplate.replace(/\{([a-z-]+)\}/g, (whole, name) => values[name] ?? whole).trim();
}

/** Sets the title, if configured. It can't be longer than the command line that started the process. */
export function setProcessTitle(config: Config): void {
  if (config.setsTitle) process.title = formatTitle(config);
}
