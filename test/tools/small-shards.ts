/**
 * For `node --import`: the server's shards have DAMSELFLY_TEST_SHARD_BYTES bytes, so that tests can fill them.
 */

import { ShardMemory } from '../../src/memory/shard-memory.js';

const shardBytes = Number(process.env.DAMSELFLY_TEST_SHARD_BYTES);
const { create } = ShardMemory;
ShardMemory.create = (sizeBytes, databaseCount, addressOf) =>
  create.call(ShardMemory, Math.min(sizeBytes, shardBytes), databaseCount, addressOf);
