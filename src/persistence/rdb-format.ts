/**
 * Constants of the RDB format: what a snapshot is made of.
 *
 *   "REDIS" and four digits of version
 *   auxiliary fields:  Aux, name, value
 *   per database:      SelectDatabase, number; ResizeDatabase, keys, keys that expire
 *   per key:           [ExpiryMs, time] [Idle, seconds | Frequency, counter] type, key, value
 *   Eof, checksum of all that comes before (8 bytes; 0: none)
 *
 * A length is written in 1, 2, 5 or 9 bytes by its top two bits; 11 says that a string is encoded in another
 * way (RdbEncoding).
 */

/** The version that is written: what Redis 7.0 reads. */
export const RDB_VERSION = 10;
/** The one that is written if there are hashes with fields that expire, which Redis reads since 7.4. */
export const RDB_VERSION_FIELD_EXPIRY = 12;
/** That of a payload with a stream of which something was given back, which Redis reads since 8.8. */
export const RDB_VERSION_GIVEN_BACK = 14;
/** The newest version that is read, if there is nothing in it that is not known here: Redis 8.8's. */
export const RDB_VERSION_MAX = 14;
/** From this version on, files end with a checksum. */
export const RDB_VERSION_CHECKSUM = 5;

export const RDB_MAGIC = 'REDIS';

export const enum RdbOpcode {
  SlotInfo = 244,
  Function2 = 245,
  FunctionPreRelease = 246,
  ModuleAux = 247,
  Idle = 248,
  Frequency = 249,
  Aux = 250,
  ResizeDatabase = 251,
  ExpiryMs = 252,
  ExpirySeconds = 253,
  SelectDatabase = 254,
  Eof = 255,
}

export const enum RdbType {
  String = 0,
  List = 1,
  Set = 2,
  SortedSet = 3,
  Hash = 4,
  SortedSet2 = 5,
  ModulePreRelease = 6,
  Module2 = 7,
  HashZipmap = 9,
  ListZiplist = 10,
  SetIntset = 11,
  SortedSetZiplist = 12,
  HashZiplist = 13,
  ListQuicklist = 14,
  StreamListpacks = 15,
  HashListpack = 16,
  SortedSetListpack = 17,
  ListQuicklist2 = 18,
  StreamListpacks2 = 19,
  SetListpack = 20,
  StreamListpacks3 = 21,
  HashMetadataPreRelease = 22,
  HashListpackExPreRelease = 23,
  HashMetadata = 24,
  HashListpackEx = 25,
  StreamListpacks4 = 26,
  StreamListpacks5 = 27,
}

/** The version that a payload with a value of this type has. */
export function payloadVersion(type: RdbType): number {
  if (type >= RdbType.StreamListpacks4) return RDB_VERSION_GIVEN_BACK;
  return type >= RdbType.HashMetadataPreRelease ? RDB_VERSION_FIELD_EXPIRY : RDB_VERSION;
}

/** The low six bits of a length byte whose top bits are 11. */
export const enum RdbEncoding {
  Int8 = 0,
  Int16 = 1,
  Int32 = 2,
  Lzf = 3,
}

/** How a node of a list is kept in ListQuicklist2. */
export const enum QuicklistContainer {
  Plain = 1,
  Packed = 2,
}

/** Strings longer than this are worth trying to compress. */
export const COMPRESSED_BYTES_MIN = 21;

/** No string is longer, whatever a file says. */
export const STRING_BYTES_MAX = 0x7f000000;

/** What a file or a payload has that makes it unreadable; the message ends with the offset where it is known. */
export class RdbError extends Error {}

/** No memory for a value; nothing of it is left. */
export class RdbMemoryError extends RdbError {}
