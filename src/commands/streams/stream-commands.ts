/** The handlers of all commands on streams. */

import type { Handler } from '../../execution/table/command-table.js';
import { streamAddHandlers } from './stream-add.js';
import { streamClaimHandlers } from './stream-claims.js';
import { streamDeleteHandlers } from './stream-delete.js';
import { streamGiveBackHandlers } from './stream-give-back.js';
import { streamGroupHandlers } from './stream-groups.js';
import { streamInfoHandlers } from './stream-info.js';
import { streamProducerHandlers } from './stream-producers.js';
import { streamRangeHandlers } from './stream-ranges.js';
import { streamReadHandlers } from './stream-reads.js';

export const streamHandlers: Readonly<Record<string, Handler>> = {
  ...streamAddHandlers,
  ...streamClaimHandlers,
  ...streamDeleteHandlers,
  ...streamGiveBackHandlers,
  ...streamGroupHandlers,
  ...streamInfoHandlers,
  ...streamProducerHandlers,
  ...streamRangeHandlers,
  ...streamReadHandlers,
};
