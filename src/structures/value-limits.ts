/** How large a collection may grow in its small encodings, kept up to date by its thread. */
export interface ValueLimits {
  hashPackedEntries: number;
  hashPackedValueBytes: number;
  /** As `list-max-listpack-size`: above 0 a number of elements, below a size class of 4 KiB << (-1 - n). */
  listPackedSize: number;
  listCompressDepth: number;
  setIntegerEntries: number;
  setPackedEntries: number;
  setPackedValueBytes: number;
  sortedSetPackedEntries: number;
  sortedSetPackedValueBytes: number;
  /** `stream-node-max-bytes` and `stream-node-max-entries`; 0: no limit. */
  streamNodeBytes: number;
  streamNodeEntries: number;
  /** `stream-idmp-duration` and `stream-idmp-maxsize`, for streams that get their first producer. */
  streamProducerSeconds: number;
  streamProducerIds: number;
}
