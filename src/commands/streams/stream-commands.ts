/** The handlers of all commands on streams. */

import type { Handler } from '../command-table.js';
import { streamAddHandlers } from './stream-add.js';
import { streamRangeHandlers } from './stream-ranges.js';

export const streamHandlers: Readonly<Record<string, Handler>> = {
  ...streamAddHandlers,
  ...streamRangeHandlers,
};
