/** What can happen to a key, as the gate is told of it; the numbers index EVENT_NAMES. */
export const enum KeyEvent {
  Set = 0,
  Delete = 1,
  Expire = 2,
  Persist = 3,
  Expired = 4,
  Evicted = 5,
  RenameFrom = 6,
  RenameTo = 7,
  CopyTo = 8,
  MoveFrom = 9,
  MoveTo = 10,
  SetRange = 11,
  IncrementBy = 12,
  IncrementByFloat = 13,
  Append = 14,
  SetBit = 15,
  New = 16,
  HashSet = 17,
  HashIncrementBy = 18,
  HashIncrementByFloat = 19,
  HashDelete = 20,
  HashExpire = 21,
  HashPersist = 22,
  HashExpired = 23,
  ListPushLeft = 24,
  ListPushRight = 25,
  ListPopLeft = 26,
  ListPopRight = 27,
  ListSet = 28,
  ListTrim = 29,
  ListRemove = 30,
  ListInsert = 31,
  SetAdd = 32,
  SetRemove = 33,
  SetPop = 34,
  SetInterStore = 35,
  SetUnionStore = 36,
  SetDiffStore = 37,
  SortedSetAdd = 38,
  SortedSetIncrement = 39,
  SortedSetRemove = 40,
  SortedSetRemoveRangeByScore = 41,
  SortedSetRemoveRangeByRank = 42,
  SortedSetRemoveRangeByLex = 43,
  SortedSetPopMin = 44,
  SortedSetPopMax = 45,
  SortedSetUnionStore = 46,
  SortedSetInterStore = 47,
  SortedSetDiffStore = 48,
  SortedSetRangeStore = 49,
  SortStore = 50,
  Restore = 51,
  KeyMiss = 52,
  Overwritten = 53,
  TypeChanged = 54,
  HyperLogLogAdd = 55,
  /** A change of the value without a notification: of the estimate that PFCOUNT keeps in it, or of its form. */
  Unnamed = 56,
  GeoSearchStore = 57,
  GeoRadiusStore = 58,
  StreamAdd = 59,
  StreamTrim = 60,
  StreamDelete = 61,
  // What only groups see: see `isOfGroupsOnly`.
  StreamSetId = 62,
  StreamGroupCreate = 63,
  StreamGroupCreateConsumer = 64,
  StreamGroupDeleteConsumer = 65,
  StreamGroupDestroy = 66,
  StreamGroupSetId = 67,
  /** Entries were delivered, claimed or acknowledged: no notification. */
  StreamDelivery = 68,
  /** What is known of producers. */
  StreamProducers = 69,
}

/**
 * Whether an event leaves the entries of a stream as they are. As in Redis, it does not count as a change of the key,
 * so transactions that watch the key are not aborted.
 */
export function isOfGroupsOnly(event: KeyEvent): boolean {
  return event >= KeyEvent.StreamSetId && event <= KeyEvent.StreamProducers;
}

/** The names under which keyspace notifications report the events; '' is not reported. */
export const EVENT_NAMES: readonly string[] = [
  'set',
  'del',
  'expire',
  'persist',
  'expired',
  'evicted',
  'rename_from',
  'rename_to',
  'copy_to',
  'move_from',
  'move_to',
  'setrange',
  'incrby',
  'incrbyfloat',
  'append',
  'setbit',
  'new',
  'hset',
  'hincrby',
  'hincrbyfloat',
  'hdel',
  'hexpire',
  'hpersist',
  'hexpired',
  'lpush',
  'rpush',
  'lpop',
  'rpop',
  'lset',
  'ltrim',
  'lrem',
  'linsert',
  'sadd',
  'srem',
  'spop',
  'sinterstore',
  'sunionstore',
  'sdiffstore',
  'zadd',
  'zincr',
  'zrem',
  'zremrangebyscore',
  'zremrangebyrank',
  'zremrangebylex',
  'zpopmin',
  'zpopmax',
  'zunionstore',
  'zinterstore',
  'zdiffstore',
  'zrangestore',
  'sortstore',
  'restore',
  'keymiss',
  'overwritten',
  'type_changed',
  'pfadd',
  '',
  'geosearchstore',
  'georadiusstore',
  'xadd',
  'xtrim',
  'xdel',
  'xsetid',
  'xgroup-create',
  'xgroup-createconsumer',
  'xgroup-delconsumer',
  'xgroup-destroy',
  'xgroup-setid',
  '',
  '',
];

/** The classes of events by which `notify-keyspace-events` selects, as bits. */
export const enum EventClass {
  Generic = 1 << 0,
  String = 1 << 1,
  List = 1 << 2,
  Set = 1 << 3,
  Hash = 1 << 4,
  SortedSet = 1 << 5,
  Stream = 1 << 6,
  Expired = 1 << 7,
  Evicted = 1 << 8,
  New = 1 << 9,
  KeyMiss = 1 << 10,
  Module = 1 << 11,
  Overwritten = 1 << 12,
  TypeChanged = 1 << 13,
  /** Events are published in channels named after keys. */
  Keyspace = 1 << 14,
  /** Events are published in channels named after events. */
  Keyevent = 1 << 15,
  ALL = Generic | String | List | Set | Hash | SortedSet | Stream | Expired | Evicted | Module,
}

const CLASS_OF_LETTER: Readonly<Record<string, EventClass>> = {
  A: EventClass.ALL,
  g: EventClass.Generic,
  $: EventClass.String,
  l: EventClass.List,
  s: EventClass.Set,
  h: EventClass.Hash,
  z: EventClass.SortedSet,
  t: EventClass.Stream,
  x: EventClass.Expired,
  e: EventClass.Evicted,
  n: EventClass.New,
  m: EventClass.KeyMiss,
  d: EventClass.Module,
  o: EventClass.Overwritten,
  c: EventClass.TypeChanged,
  K: EventClass.Keyspace,
  E: EventClass.Keyevent,
};

/** The bits of letters as `notify-keyspace-events` has them. */
export function eventClasses(letters: string): number {
  let classes = 0;
  for (const letter of letters) classes |= CLASS_OF_LETTER[letter] ?? 0;
  return classes;
}

/** The class of each event, by the first letter of its name; exceptions are listed. */
const CLASS_OF_EVENT = ((): Int32Array => {
  const classes: Readonly<Record<string, EventClass>> = {
    expired: EventClass.Expired,
    evicted: EventClass.Evicted,
    new: EventClass.New,
    keymiss: EventClass.KeyMiss,
    overwritten: EventClass.Overwritten,
    type_changed: EventClass.TypeChanged,
    sortstore: EventClass.List,
    geosearchstore: EventClass.SortedSet,
    georadiusstore: EventClass.SortedSet,
    ...Object.fromEntries(
      'set setrange incrby incrbyfloat append setbit pfadd'
        .split(' ')
        .map((name) => [name, EventClass.String]),
    ),
    ...Object.fromEntries(
      'del expire persist rename_from rename_to copy_to move_from move_to restore'
        .split(' ')
        .map((name) => [name, EventClass.Generic]),
    ),
  };
  const byLetter: Readonly<Record<string, EventClass>> = {
    h: EventClass.Hash,
    l: EventClass.List,
    r: EventClass.List,
    s: EventClass.Set,
    z: EventClass.SortedSet,
    x: EventClass.Stream,
  };
  return Int32Array.from(EVENT_NAMES, (name) => classes[name] ?? byLetter[name[0]]);
})();

/** The class of an event. */
export function classOf(event: KeyEvent): EventClass {
  return CLASS_OF_EVENT[event];
}
