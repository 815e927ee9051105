/**
 * Constants of the RDB format: what a snapshot is made of.
 *
 *   "REDIS" and four digits of version, or "VALKEY" and three
 *   auxiliary fields:  Aux, name, value
 *   per database:      SelectDatabase, number; ResizeDatabase, keys, keys that expire
 *   per key:           [ExpiryMs, time] [Idle, seconds | Frequency, counter] type, key, value
 *   Eof, checksum of all that comes before (8 bytes; 0: none)
 *
 * A length is written in 1, 2, 5 or 9 bytes by its top two bits; 11 says that a string is encoded in another
 * way (RdbEncoding).
 *
 * Redis and Valkey share the format up to version 11. Since then they give the same numbers to different things:
 * versions from 80 on are Valkey's, those below are Redis's.
 */

/** The version that is written: what Redis 7.0 reads. */
export const RDB_VERSION = 10;
/** The version that is written if hashes have fields that expire, which Redis reads since 7.4. */
export const RDB_VERSION_FIELD_EXPIRY = 12;
/** The version of a payload with a stream that has producers, which Redis reads since 8.6. */
export const RDB_VERSION_PRODUCERS = 13;
/** The version of a payload with a stream that has entries given back (XNACK), which Redis reads since 8.8. */
export const RDB_VERSION_GIVEN_BACK = 14;
/** The newest version of Redis whose opcodes and types are known: that of 8.8. */
export const RDB_VERSION_KNOWN = 14;
/** The first version of Valkey's own, that of 9.0. */
export const RDB_VERSION_VALKEY = 80;
/** The newest one whose opcodes and types are known: that of Valkey 9.2. */
export const RDB_VERSION_VALKEY_KNOWN = 81;
/** From this version on, files end with a checksum. */
export const RDB_VERSION_CHECKSUM = 5;

export const RDB_MAGIC = 'REDIS';
export const RDB_MAGIC_VALKEY = 'VALKEY';
/** Either magic with its version. */
export const RDB_HEADER_BYTES = 9;

/** The version that the first bytes of a file say, -1 if they say none. */
export function parseRdbHeader(text: string): number {
  const match = /^(?:REDIS(\d{4})|VALKEY(\d{3}))/.exec(text);
  if (match === null) return -1;
  const version = Number(match[1] ?? match[2]);
  const isValkey = match[2] !== undefined;
  return version > 0 && isValkey === isValkeyVersion(version) ? version : -1;
}

/** Whether a version is one of Valkey's own. */
export function isValkeyVersion(version: number): boolean {
  return version >= RDB_VERSION_VALKEY;
}

/** Whether everything that a file or payload of a version may contain is known here, at least by name. */
export function isKnownVersion(version: number): boolean {
  return version <= (isValkeyVersion(version) ? RDB_VERSION_VALKEY_KNOWN : RDB_VERSION_KNOWN);
}

export const enum RdbOpcode {
  /** Valkey: a change that a replica is to make to a key. */
  Update = 242,
  /** Redis: data of modules about the key that comes next. Valkey: slots that are being imported. */
  KeyMetadata = 243,
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
  Array = 28,
  // Valkey's own types, beyond what a byte can say; in files they are numbers that Redis uses otherwise.
  ValkeyHash = 256 + 22,
  ValkeyPathHash = 256 + 23,
}

/** The type that a byte of a file or payload of a version stands for. */
export function rdbTypeOf(byte: number, version: number): RdbType {
  if (!isValkeyVersion(version)) return byte;
  if (byte === 22) return RdbType.ValkeyHash;
  return byte === 23 ? RdbType.ValkeyPathHash : byte;
}

/** The parts that a value of a module, or what it keeps about a key, is made of. */
export const enum RdbModuleOpcode {
  Eof = 0,
  SignedInteger = 1,
  UnsignedInteger = 2,
  Float = 3,
  Double = 4,
  String = 5,
}

/** The version that a payload with a value of this type has. */
export function payloadVersion(type: RdbType): number {
  if (type === RdbType.StreamListpacks4) return RDB_VERSION_PRODUCERS;
  if (type >= RdbType.StreamListpacks5) return RDB_VERSION_GIVEN_BACK;
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

/** Why a file or a payload is unreadable; the message ends with the offset if that is known. */
export class RdbError extends Error {}

/** No memory for a value; nothing of it is left. */
export class RdbMemoryError extends RdbError {}
