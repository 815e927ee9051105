/** Thread entry point: what sends a worker's MIGRATE commands to other servers. */

import { workerData } from 'node:worker_threads';
import { serveTransfers, type TransferThreadOptions } from '../src/network/transfer.js';

serveTransfers(workerData as TransferThreadOptions);
