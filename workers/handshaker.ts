/** Thread entry point: does the TLS handshakes of new connections. */

import { parentPort, workerData } from 'node:worker_threads';
import { type HandshakerOptions, runHandshaker } from '../src/network/tls/handshaker.js';
import { loadLibc } from '../src/system/libc.js';
import { loadOpenSsl } from '../src/system/openssl.js';
import { THREAD_READY } from '../src/system/thread-ready.js';

const libc = loadLibc();
const openSsl = loadOpenSsl();
if (libc === null || openSsl === null) throw new Error('handshakes need koffi and the OpenSSL of Node.js');
parentPort?.postMessage(THREAD_READY);
runHandshaker(libc, openSsl, workerData as HandshakerOptions);
