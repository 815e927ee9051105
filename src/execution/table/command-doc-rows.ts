/**
 * What COMMAND DOCS says of each command, in a form that command-docs.ts reads when it is first asked for.
 *
 *   name arguments [!syscmd]
 *     summary
 *     complexity       O(1) if the line is not there, "=" that of the subcommand, "-" none
 *     + version text   what a version added; words in 'quotes' are code
 *     > version text   since when there is something better, and what
 *
 * HELP subcommands are all alike and not listed. An argument is written as
 *
 *   name             a string                 name@N           a key, described by key spec N
 *   name:type        of another type, @N too  TOKEN            a word that stands for itself
 *   TOKEN=name       a word in front of it    TOKEN/name       the same with another name
 *   name(a|b)        one of several           name{a b}        several in a row
 *
 * and then any of: ? may be left out, * may be repeated, + with its word, ^version came later, ~version
 * should not be used any more. What has other characters than letters and digits is in "quotes".
 */

export const COMMAND_DOC_ROWS = `
append key@0 value
  Adds a value to the end of a string, and creates the string if there is none
  O(M), M: bytes added; the string is moved now and then, which is amortized
decr key@0
  Subtracts one from the number in a string
decrby key@0 decrement:integer
  Subtracts a number from the number in a string
delex key@0 condition(IFEQ=ifeq-value|IFNE=ifne-value|IFDEQ=ifdeq-digest|IFDNE=ifdne-digest)?
  Deletes a string if its value or digest meets a condition
  O(1) by value, O(N) by digest, N: bytes of the string
delifeq key@0 value
  Deletes a string if it has a certain value
digest key@0
  Hashes the value of a string
  O(N), N: bytes of the string
get key@0
  Reads a string
getdel key@0
  Reads a string and deletes its key
getex key@0 expiration(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:time|PXAT=unix-time-milliseconds:time|PERSIST)?
  Reads a string and changes when it expires
getrange key@0 start:integer end:integer
  Reads part of a string
  O(N), N: bytes returned
getset key@0 value
  Reads a string and puts a new value in its place
  > 6.2.0 'SET' with the '!GET' argument
incr key@0
  Adds one to the number in a string
incrby key@0 increment:integer
  Adds a number to the number in a string
incrbyfloat key@0 increment:double
  Adds a floating-point number to the number in a string
increx key@0 increment(BYFLOAT=float:double|BYINT=integer:integer)? SATURATE? LBOUND=lowerbound? UBOUND=upperbound? expiration(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:time|PXAT=unix-time-milliseconds:time|PERSIST)? ENX?
  Adds to the number in a string within bounds, and changes when it expires
lcs key1@0 key2@0 LEN? IDX? MINMATCHLEN=len:integer? WITHMATCHLEN?
  Finds the longest subsequence that two strings have in common
  O(N*M), N and M: bytes of the strings
mget key@0*
  Reads several strings
  O(N), N: keys
mset key_value{key@0 value}*
  Sets several strings in one step
  O(N), N: keys
msetex numkeys:integer data{key@0 value}* condition(NX|XX)? expiration(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:time|PXAT=unix-time-milliseconds:time|KEEPTTL)?
  Sets several strings, with a condition and an expiry that all of them share
  O(N), N: keys
msetnx key_value{key@0 value}*
  Sets several strings, but none of them if any of the keys exists
  O(N), N: keys
psetex key@0 milliseconds:integer value
  Sets a string that expires after some milliseconds
set key@0 value condition(NX|XX)?^2.6.12 GET?^6.2.0 expiration(EX=seconds:integer^2.6.12|PX=milliseconds:integer^2.6.12|EXAT=unix-time-seconds:time^6.2.0|PXAT=unix-time-milliseconds:time^6.2.0|KEEPTTL^6.0.0)?
  Sets a string, whatever the key held before
  + 2.6.12 'EX', 'PX', 'NX', 'XX'
  + 6.0.0 'KEEPTTL'
  + 6.2.0 'GET', 'EXAT', 'PXAT'
  + 7.0.0 'NX' may stand together with 'GET'
setex key@0 seconds:integer value
  Sets a string that expires after some seconds
setnx key@0 value
  Sets a string only if the key does not exist
setrange key@0 offset:integer value
  Overwrites part of a string from an offset on
  O(M), M: bytes written, if the string is long enough; else O(N), N: its new length
strlen key@0
  Tells how many bytes a string has
substr key@0 start:integer end:integer
  Reads part of a string
  O(N), N: bytes returned
  > 2.0.0 'GETRANGE'
bitcount key@0 index{start:integer end:integer index_unit(BYTE|BIT)?^7.0.0}?
  Counts the bits of a string that are set
  O(N), N: bytes looked at
  + 7.0.0 'BYTE' and 'BIT'
bitfield key@0 operation(GET=encoding_offset{encoding offset:integer}|write{OVERFLOW=wrap_sat_fail(WRAP|SAT|FAIL)? write_operation(SET=encoding_offset_value{encoding offset:integer value:integer}|INCRBY=encoding_offset_increment{encoding offset:integer increment:integer})})?*
  Reads and changes integers of any width inside a string
  O(1) for each operation
bitfield_ro key@0 GET=encoding_offset{encoding offset:integer}?*+
  Reads integers of any width inside a string
  O(1) for each operation
bitop operation destkey@0 key@1*
  Combines strings bit by bit and stores the result
  O(N), N: bytes of the longest string
bitpos key@0 bit:integer index{start:integer end_index{end:integer index_unit(BYTE|BIT)?^7.0.0}?}?
  Finds the first bit that is set, or the first that is not
  O(N), N: bytes looked at
  + 7.0.0 'BYTE' and 'BIT'
getbit key@0 offset:integer
  Reads one bit of a string
setbit key@0 offset:integer value:integer
  Changes one bit of a string and tells what it was
copy source@0 destination@1 DB=destination-db:integer? REPLACE?
  Copies a value to another key
  O(N), N: elements of the value; O(1) for strings
del key@0*
  Deletes keys
  O(N), N: keys, and the elements of those that are not strings
dump key@0
  Serializes the value of a key
  O(N*M), N: elements, M: their average size
exists key@0*
  Counts which of the keys exist
  O(N), N: keys
  + 3.0.3 more than one 'key'
expire key@0 seconds:integer condition(NX|XX|GT|LT)?^7.0.0
  Lets a key expire after some seconds
  + 7.0.0 'NX', 'XX', 'GT', 'LT'
expireat key@0 unix-time-seconds:time condition(NX|XX|GT|LT)?^7.0.0
  Lets a key expire at a Unix time in seconds
  + 7.0.0 'NX', 'XX', 'GT', 'LT'
expiretime key@0
  Tells at which Unix time in seconds a key expires
keys pattern:pattern
  Lists the keys that match a pattern
  O(N), N: keys of the database
migrate host port:integer key_or_empty_string(key@0|""/empty_string) destination-db:integer timeout:integer COPY?^3.0.0 REPLACE?^3.0.0 authentication(AUTH=password?^4.0.7|AUTH2=username_password{username password}?^6.0.0)? KEYS=key@1?*^3.0.6
  Moves keys to another server
  O(N), N: elements of the values
  + 3.0.0 'COPY' and 'REPLACE'
  + 3.0.6 'KEYS'
  + 4.0.7 'AUTH'
  + 6.0.0 'AUTH2'
move key@0 db:integer
  Moves a key to another database
object
  Commands that look at how values are kept
  =
object|encoding key@0
  Names the form in which a value is kept
object|freq key@0
  Tells how often a key is used, on a logarithmic scale
object|idletime key@0
  Tells for how many seconds a key has not been used
object|refcount key@0
  Counts the references to a value
persist key@0
  Takes the expiry off a key
pexpire key@0 milliseconds:integer condition(NX|XX|GT|LT)?^7.0.0
  Lets a key expire after some milliseconds
  + 7.0.0 'NX', 'XX', 'GT', 'LT'
pexpireat key@0 unix-time-milliseconds:time condition(NX|XX|GT|LT)?^7.0.0
  Lets a key expire at a Unix time in milliseconds
  + 7.0.0 'NX', 'XX', 'GT', 'LT'
pexpiretime key@0
  Tells at which Unix time in milliseconds a key expires
pttl key@0
  Tells in how many milliseconds a key expires
  + 2.8.0 the reply -2
randomkey
  Picks any key of the database
rename key@0 newkey@1
  Gives a key another name, and deletes what had that name
  O(1), and the deletion of the old value
renamenx key@0 newkey@1
  Gives a key another name if nothing has that name
  + 3.2.0 no error if both names are the same
restore key@0 ttl:integer serialized-value REPLACE?^3.0.0 ABSTTL?^5.0.0 IDLETIME=seconds:integer?^5.0.0 FREQ=frequency:integer?^5.0.0
  Creates a key from a value that DUMP serialized
  O(N*M), N: elements, M: their average size; O(N*M*log(N)) for sorted sets
  + 3.0.0 'REPLACE'
  + 5.0.0 'ABSTTL'
  + 5.0.0 'IDLETIME' and 'FREQ'
scan cursor:integer MATCH=pattern:pattern? COUNT=count:integer? TYPE=type?^6.0.0
  Lists the keys of the database step by step
  O(1) a call, O(N) for the whole, N: keys of the database
  + 6.0.0 'TYPE'
sort key@0 BY=pattern:pattern@1? LIMIT=offset_count{offset:integer count:integer}? GET=pattern:pattern@1?*+ order(ASC|DESC)? ALPHA/sorting? STORE=destination@2?
  Sorts a list, set or sorted set, and stores or returns it
  O(N+M*log(M)), N: elements, M: elements returned
sort_ro key@0 BY=pattern:pattern@1? LIMIT=offset_count{offset:integer count:integer}? GET=pattern:pattern@1?*+ order(ASC|DESC)? ALPHA/sorting?
  Sorts a list, set or sorted set and returns it
  O(N+M*log(M)), N: elements, M: elements returned
touch key@0*
  Marks keys as used just now, and counts which of them exist
  O(N), N: keys
ttl key@0
  Tells in how many seconds a key expires
  + 2.8.0 the reply -2
type key@0
  Names the type of the value of a key
unlink key@0*
  Deletes keys and leaves the freeing of their memory for later
  O(1) for each key; the memory is freed in O(N), N: elements
wait numreplicas:integer timeout:integer
  Waits until replicas have received the writes of this connection
waitaof numlocal:integer numreplicas:integer timeout:integer
  Waits until the writes of this connection are in append-only files
hdel key@0 field*
  Removes fields from a hash
  O(N), N: fields
  + 2.4.0 more than one 'field'
hexists key@0 field
  Tells whether a hash has a field
hexpire key@0 seconds:integer condition(NX|XX|GT|LT)? FIELDS=fields{numfields:integer field*}
  Lets fields of a hash expire after some seconds
  O(N), N: fields
hexpireat key@0 unix-time-seconds:time condition(NX|XX|GT|LT)? FIELDS=fields{numfields:integer field*}
  Lets fields of a hash expire at a Unix time in seconds
  O(N), N: fields
hexpiretime key@0 FIELDS=fields{numfields:integer field*}
  Tells at which Unix time in seconds fields of a hash expire
  O(N), N: fields
hget key@0 field
  Reads a field of a hash
hgetall key@0
  Reads all fields of a hash and their values
  O(N), N: fields of the hash
hgetdel key@0 FIELDS=fields{numfields:integer field*}
  Reads fields of a hash and removes them
  O(N), N: fields
hgetex key@0 expiration(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:time|PXAT=unix-time-milliseconds:time|PERSIST)? FIELDS=fields{numfields:integer field*}
  Reads fields of a hash and changes when they expire
  O(N), N: fields
hincrby key@0 field increment:integer
  Adds a number to the number in a field of a hash
hincrbyfloat key@0 field increment:double
  Adds a floating-point number to the number in a field of a hash
hkeys key@0
  Lists the fields of a hash
  O(N), N: fields of the hash
hlen key@0
  Counts the fields of a hash
hmget key@0 field*
  Reads several fields of a hash
  O(N), N: fields
hmset key@0 field_value{field value}*
  Sets several fields of a hash
  O(N), N: fields
  > 4.0.0 'HSET' with multiple field-value pairs
hpersist key@0 FIELDS=fields{numfields:integer field*}
  Takes the expiry off fields of a hash
  O(N), N: fields
hpexpire key@0 milliseconds:integer condition(NX|XX|GT|LT)? FIELDS=fields{numfields:integer field*}
  Lets fields of a hash expire after some milliseconds
  O(N), N: fields
hpexpireat key@0 unix-time-milliseconds:time condition(NX|XX|GT|LT)? FIELDS=fields{numfields:integer field*}
  Lets fields of a hash expire at a Unix time in milliseconds
  O(N), N: fields
hpexpiretime key@0 FIELDS=fields{numfields:integer field*}
  Tells at which Unix time in milliseconds fields of a hash expire
  O(N), N: fields
hpttl key@0 FIELDS=fields{numfields:integer field*}
  Tells in how many milliseconds fields of a hash expire
  O(N), N: fields
hrandfield key@0 options{count:integer WITHVALUES?}?
  Picks any fields of a hash
  O(N), N: fields returned
hscan key@0 cursor:integer MATCH=pattern:pattern? COUNT=count:integer?
  Lists the fields of a hash step by step
  O(1) a call, O(N) for the whole, N: fields of the hash
hset key@0 field_value{field value}*
  Sets fields of a hash
  O(N), N: fields
  + 4.0.0 more than one 'field' and 'value'
hsetex key@0 condition(FNX|FXX)? expiration(EX=seconds:integer|PX=milliseconds:integer|EXAT=unix-time-seconds:time|PXAT=unix-time-milliseconds:time|KEEPTTL)? FIELDS=fields{numfields:integer data{field value}*}
  Sets fields of a hash that expire
  O(N), N: fields
hsetnx key@0 field value
  Sets a field of a hash only if it does not exist
hstrlen key@0 field
  Tells how many bytes the value of a field has
httl key@0 FIELDS=fields{numfields:integer field*}
  Tells in how many seconds fields of a hash expire
  O(N), N: fields
hvals key@0
  Lists the values of a hash
  O(N), N: fields of the hash
blmove source@0 destination@1 wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) timeout:double
  Moves an element from one list to another, and waits for one if there is none
blmovem source@0 destination@1 wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) timeout:double how-many{selector(COUNT=count:integer|EXACTLY=exactly:integer) ordering(OBO|BULK)}?
  Moves elements from an end of a list to an end of another, and waits until there are enough
  O(N), N: elements moved
blmpop timeout:double numkeys:integer key@0* where(LEFT|RIGHT) COUNT=count:integer?
  Takes elements from the first list that has any, and waits if all are empty
  O(N+M), N: keys, M: elements returned
blpop key@0* timeout:double
  Takes the first element of the first list that has any, and waits if all are empty
  O(N), N: keys
  + 6.0.0 'timeout' may have a fraction
brpop key@0* timeout:double
  Takes the last element of the first list that has any, and waits if all are empty
  O(N), N: keys
  + 6.0.0 'timeout' may have a fraction
brpoplpush source@0 destination@1 timeout:double
  Moves the last element of a list to the front of another, and waits for one if there is none
  + 6.0.0 'timeout' may have a fraction
  > 6.2.0 'BLMOVE' with the 'RIGHT' and 'LEFT' arguments
lindex key@0 index:integer
  Reads the element of a list at an index
  O(N), N: elements passed on the way to it
linsert key@0 where(BEFORE|AFTER) pivot element
  Puts an element before or after another one of a list
  O(N), N: elements passed on the way to it
llen key@0
  Counts the elements of a list
lmove source@0 destination@1 wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT)
  Moves an element from one end of a list to one end of another
lmovem source@0 destination@1 wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) how-many{selector(COUNT=count:integer|EXACTLY=exactly:integer) ordering(OBO|BULK)}?
  Moves elements from an end of a list to an end of another, and returns them
  O(N), N: elements moved
lmpop numkeys:integer key@0* where(LEFT|RIGHT) COUNT=count:integer?
  Takes elements from the first list that has any
  O(N+M), N: keys, M: elements returned
lpop key@0 count:integer?^6.2.0
  Takes elements from the front of a list
  O(N), N: elements returned
  + 6.2.0 'count'
lpos key@0 element RANK=rank:integer? COUNT=num-matches:integer? MAXLEN=len:integer?
  Finds the places of an element in a list
  O(N), N: elements looked at
lpush key@0 element*
  Puts elements before the first of a list, and creates the list if there is none
  O(N), N: elements added
  + 2.4.0 more than one 'element'
lpushx key@0 element*
  Puts elements before the first of a list that exists
  O(N), N: elements added
  + 4.0.0 more than one 'element'
lrange key@0 start:integer stop:integer
  Reads the elements of a list from one index to another
  O(S+N), S: elements before the range, N: elements returned
lrem key@0 count:integer element
  Removes elements of a list that are equal to a value
  O(N), N: elements of the list
lset key@0 index:integer element
  Replaces the element of a list at an index
  O(N), N: elements passed on the way to it
ltrim key@0 start:integer stop:integer
  Removes the elements of a list outside a range
  O(N), N: elements removed
rpop key@0 count:integer?^6.2.0
  Takes elements from the end of a list
  O(N), N: elements returned
  + 6.2.0 'count'
rpoplpush source@0 destination@1
  Moves the last element of a list to the front of another
  > 6.2.0 'LMOVE' with the 'RIGHT' and 'LEFT' arguments
rpush key@0 element*
  Puts elements behind the last of a list, and creates the list if there is none
  O(N), N: elements added
  + 2.4.0 more than one 'element'
rpushx key@0 element*
  Puts elements behind the last of a list that exists
  O(N), N: elements added
  + 4.0.0 more than one 'element'
sadd key@0 member*
  Adds members to a set, and creates the set if there is none
  O(N), N: members added
  + 2.4.0 more than one 'member'
scard key@0
  Counts the members of a set
sdiff key@0*
  Lists the members of the first set that are in no other
  O(N), N: members of all sets
sdiffcard numkeys:integer key@0* LIMIT=limit:integer?
  Counts the members of the first set that none of the others has
  O(N), N: members of all sets
sdiffstore destination@0 key@1*
  Stores the members of the first set that are in no other
  O(N), N: members of all sets
sinter key@0*
  Lists the members that all sets have
  O(N*M), N: members of the smallest set, M: sets
sintercard numkeys:integer key@0* LIMIT=limit:integer?
  Counts the members that all sets have
  O(N*M), N: members of the smallest set, M: sets
sinterstore destination@0 key@1*
  Stores the members that all sets have
  O(N*M), N: members of the smallest set, M: sets
sismember key@0 member
  Tells whether a set has a member
smembers key@0
  Lists the members of a set
  O(N), N: members of the set
smismember key@0 member*
  Tells for each of several members whether a set has it
  O(N), N: members asked for
smove source@0 destination@1 member
  Moves a member from one set to another
spop key@0 count:integer?^3.2.0
  Takes any members from a set
  O(N), N: members returned
  + 3.2.0 'count'
srandmember key@0 count:integer?^2.6.0
  Picks any members of a set
  O(N), N: members returned
  + 2.6.0 'count'
srem key@0 member*
  Removes members from a set
  O(N), N: members
  + 2.4.0 more than one 'member'
sscan key@0 cursor:integer MATCH=pattern:pattern? COUNT=count:integer?
  Lists the members of a set step by step
  O(1) a call, O(N) for the whole, N: members of the set
sunion key@0*
  Lists the members that any of the sets has
  O(N), N: members of all sets
sunioncard numkeys:integer key@0* APPROX? LIMIT=limit:integer?
  Counts the members that any of the sets has
  O(N), N: members of all sets
sunionstore destination@0 key@1*
  Stores the members that any of the sets has
  O(N), N: members of all sets
bzmpop timeout:double numkeys:integer key@0* where(MIN|MAX) COUNT=count:integer?
  Takes members from the first sorted set that has any, and waits if all are empty
  O(K+M*log(N)), K: keys, N: members of the set, M: members returned
bzpopmax key@0* timeout:double
  Takes the member with the highest score of the first sorted set that has any, and waits if all are empty
  O(log(N)), N: members of the set
  + 6.0.0 'timeout' may have a fraction
bzpopmin key@0* timeout:double
  Takes the member with the lowest score of the first sorted set that has any, and waits if all are empty
  O(log(N)), N: members of the set
  + 6.0.0 'timeout' may have a fraction
zadd key@0 condition(NX|XX)?^3.0.2 comparison(GT|LT)?^6.2.0 CH/change?^3.0.2 INCR/increment?^3.0.2 score_member{score:double member}*
  Adds members to a sorted set, or changes their scores
  O(log(N)) for each member, N: members of the set
  + 2.4.0 more than one member
  + 3.0.2 'XX', 'NX', 'CH', 'INCR'
  + 6.2.0 'GT' and 'LT'
zcard key@0
  Counts the members of a sorted set
zcount key@0 min:double max:double
  Counts the members with a score in a range
  O(log(N)), N: members of the set
zdiff numkeys:integer key@0* WITHSCORES?
  Lists the members of the first sorted set that are in no other
  O(L+(N-K)*log(N)), L: members of all sets, N: of the first, K: of the result
zdiffstore destination@0 numkeys:integer key@1*
  Stores the members of the first sorted set that are in no other
  O(L+(N-K)*log(N)), L: members of all sets, N: of the first, K: of the result
zincrby key@0 increment:integer member
  Adds a number to the score of a member
  O(log(N)), N: members of the set
zinter numkeys:integer key@0* WEIGHTS=weight:integer?* AGGREGATE=aggregate(SUM|MIN|MAX)? WITHSCORES?
  Lists the members that all sorted sets have
  O(N*K+M*log(M)), N: members of the smallest set, K: sets, M: members of the result
zintercard numkeys:integer key@0* LIMIT=limit:integer?
  Counts the members that all sorted sets have
  O(N*K), N: members of the smallest set, K: sets
zinterstore destination@0 numkeys:integer key@1* WEIGHTS=weight:integer?* AGGREGATE=aggregate(SUM|MIN|MAX)?
  Stores the members that all sorted sets have
  O(N*K+M*log(M)), N: members of the smallest set, K: sets, M: members of the result
zlexcount key@0 min max
  Counts the members between two strings, where all scores are equal
  O(log(N)), N: members of the set
zmpop numkeys:integer key@0* where(MIN|MAX) COUNT=count:integer?
  Takes members from the first sorted set that has any
  O(K+M*log(N)), K: keys, N: members of the set, M: members returned
zmscore key@0 member*
  Reads the scores of several members
  O(N), N: members asked for
zpopmax key@0 count:integer?
  Takes the members with the highest scores
  O(M*log(N)), N: members of the set, M: members returned
zpopmin key@0 count:integer?
  Takes the members with the lowest scores
  O(M*log(N)), N: members of the set, M: members returned
zrandmember key@0 options{count:integer WITHSCORES?}?
  Picks any members of a sorted set
  O(N), N: members returned
zrange key@0 start stop sortby(BYSCORE|BYLEX)?^6.2.0 REV?^6.2.0 LIMIT=offset_count{offset:integer count:integer}?^6.2.0 WITHSCORES?
  Reads a range of a sorted set by rank, score or string
  O(log(N)+M), N: members of the set, M: members returned
  + 6.2.0 'REV', 'BYSCORE', 'BYLEX', 'LIMIT'
zrangebylex key@0 min max LIMIT=offset_count{offset:integer count:integer}?
  Reads the members between two strings, where all scores are equal
  O(log(N)+M), N: members of the set, M: members returned
  > 6.2.0 'ZRANGE' with the 'BYLEX' argument
zrangebyscore key@0 min:double max:double WITHSCORES?^2.0.0 LIMIT=offset_count{offset:integer count:integer}?
  Reads the members with a score in a range
  O(log(N)+M), N: members of the set, M: members returned
  + 2.0.0 'WITHSCORES'
  > 6.2.0 'ZRANGE' with the 'BYSCORE' argument
zrangestore dst@0 src@1 min max sortby(BYSCORE|BYLEX)? REV? LIMIT=offset_count{offset:integer count:integer}?
  Stores a range of a sorted set as another one
  O(log(N)+M), N: members of the set, M: members stored
zrank key@0 member
  Tells the rank of a member, counted from the lowest score
  O(log(N)), N: members of the set
zrem key@0 member*
  Removes members from a sorted set
  O(M*log(N)), N: members of the set, M: members removed
  + 2.4.0 more than one member
zremrangebylex key@0 min max
  Removes the members between two strings, where all scores are equal
  O(log(N)+M), N: members of the set, M: members removed
zremrangebyrank key@0 start:integer stop:integer
  Removes the members with a rank in a range
  O(log(N)+M), N: members of the set, M: members removed
zremrangebyscore key@0 min:double max:double
  Removes the members with a score in a range
  O(log(N)+M), N: members of the set, M: members removed
zrevrange key@0 start:integer stop:integer WITHSCORES?
  Reads the members with a rank in a range, highest score first
  O(log(N)+M), N: members of the set, M: members returned
  > 6.2.0 'ZRANGE' with the 'REV' argument
zrevrangebylex key@0 max min LIMIT=offset_count{offset:integer count:integer}?
  Reads the members between two strings backwards, where all scores are equal
  O(log(N)+M), N: members of the set, M: members returned
  > 6.2.0 'ZRANGE' with the 'REV' and 'BYLEX' arguments
zrevrangebyscore key@0 max:double min:double WITHSCORES? LIMIT=offset_count{offset:integer count:integer}?
  Reads the members with a score in a range, highest score first
  O(log(N)+M), N: members of the set, M: members returned
  + 2.1.6 'min' and 'max' may be left out of the range
  > 6.2.0 'ZRANGE' with the 'REV' and 'BYSCORE' arguments
zrevrank key@0 member
  Tells the rank of a member, counted from the highest score
  O(log(N)), N: members of the set
zscan key@0 cursor:integer MATCH=pattern:pattern? COUNT=count:integer?
  Lists the members of a sorted set and their scores step by step
  O(1) a call, O(N) for the whole, N: members of the set
zscore key@0 member
  Reads the score of a member
zunion numkeys:integer key@0* WEIGHTS=weight:integer?* AGGREGATE=aggregate(SUM|MIN|MAX)? WITHSCORES?
  Lists the members that any of the sorted sets has
  O(N+M*log(M)), N: members of all sets, M: members of the result
zunionstore destination@0 numkeys:integer key@1* WEIGHTS=weight:integer?* AGGREGATE=aggregate(SUM|MIN|MAX)?
  Stores the members that any of the sorted sets has
  O(N+M*log(M)), N: members of all sets, M: members of the result
geoadd key@0 condition(NX|XX)?^6.2.0 CH/change?^6.2.0 longitude_latitude_member{longitude:double latitude:double member}*
  Adds places to a geospatial index, or moves them
  O(log(N)) for each place, N: places of the index
  + 6.2.0 'CH', 'NX', 'XX'
geodist key@0 member1 member2 unit(M|KM|FT|MI)?
  Measures the distance between two places
geohash key@0 member*
  Reads places as geohash strings
  O(1) for each place
geopos key@0 member*
  Reads longitude and latitude of places
  O(1) for each place
georadius key@0 longitude:double latitude:double radius:double unit(M|KM|FT|MI) WITHCOORD? WITHDIST? WITHHASH? count{COUNT=count:integer ANY?^6.2.0}? order(ASC|DESC)? STORE=key@1? STOREDIST=key@2?
  Finds places within a distance of a point, and stores or returns them
  O(N+log(M)), N: places in the circle's bounding box, M: places of the index
  + 6.2.0 'ANY' for 'COUNT'
  + 7.0.0 units in upper case
  > 6.2.0 'GEOSEARCH' and 'GEOSEARCHSTORE' with the 'BYRADIUS' argument
georadiusbymember key@0 member radius:double unit(M|KM|FT|MI) WITHCOORD? WITHDIST? WITHHASH? count{COUNT=count:integer ANY?}? order(ASC|DESC)? STORE=key@1? STOREDIST=key@2?
  Finds places within a distance of another place, and stores or returns them
  O(N+log(M)), N: places in the circle's bounding box, M: places of the index
  + 7.0.0 units in upper case
  > 6.2.0 'GEOSEARCH' and 'GEOSEARCHSTORE' with the 'BYRADIUS' and 'FROMMEMBER' arguments
georadiusbymember_ro key@0 member radius:double unit(M|KM|FT|MI) WITHCOORD? WITHDIST? WITHHASH? count{COUNT=count:integer ANY?}? order(ASC|DESC)?
  Finds places within a distance of another place
  O(N+log(M)), N: places in the circle's bounding box, M: places of the index
  > 6.2.0 'GEOSEARCH' with the 'BYRADIUS' and 'FROMMEMBER' arguments
georadius_ro key@0 longitude:double latitude:double radius:double unit(M|KM|FT|MI) WITHCOORD? WITHDIST? WITHHASH? count{COUNT=count:integer ANY?^6.2.0}? order(ASC|DESC)?
  Finds places within a distance of a point
  O(N+log(M)), N: places in the circle's bounding box, M: places of the index
  + 6.2.0 'ANY' for 'COUNT'
  > 6.2.0 'GEOSEARCH' with the 'BYRADIUS' argument
geosearch key@0 from(FROMMEMBER=member|FROMLONLAT=longitude_latitude{longitude:double latitude:double}) by(circle{BYRADIUS=radius:double unit(M|KM|FT|MI)}|box{BYBOX=width:double height:double unit(M|KM|FT|MI)}) order(ASC|DESC)? count{COUNT=count:integer ANY?}? WITHCOORD? WITHDIST? WITHHASH?
  Finds places in a circle or a box
  O(N+log(M)), N: places in the grid cells of the area, M: places in the area
  + 7.0.0 units in upper case
geosearchstore destination@0 source@1 from(FROMMEMBER=member|FROMLONLAT=longitude_latitude{longitude:double latitude:double}) by(circle{BYRADIUS=radius:double unit(M|KM|FT|MI)}|box{BYBOX=width:double height:double unit(M|KM|FT|MI)}) order(ASC|DESC)? count{COUNT=count:integer ANY?}? STOREDIST?
  Stores the places in a circle or a box
  O(N+log(M)), N: places in the grid cells of the area, M: places in the area
  + 7.0.0 units in upper case
pfadd key@0 element?*
  Adds elements to a HyperLogLog
  O(1) for each element
pfcount key@0*
  Estimates how many different elements were added to HyperLogLogs
  O(N), N: keys
pfdebug subcommand key@0 !syscmd
  Looks into a HyperLogLog; for tests
  N/A
pfmerge destkey@0 sourcekey@1*
  Merges HyperLogLogs into one
  O(N), N: keys
pfselftest !syscmd
  Checks the implementation of HyperLogLogs; for tests
  N/A
xack key@0 group id*
  Marks messages of a consumer group as done
  O(1) for each message
xackdel key@0 group references(KEEPREF|DELREF|ACKED)? IDS=ids{numids:integer id*}
  Marks messages of a consumer group as done and deletes them
  O(1) for each message
xadd key@0 NOMKSTREAM?^6.2.0 trim{strategy(MAXLEN|MINID^6.2.0) operator("="/equal|"~"/approximately)? threshold LIMIT=count:integer?^6.2.0}? id_or_auto("*"/auto_id|id) field_value{field value}*
  Appends an entry to a stream
  O(1), and O(N) for trimming, N: entries removed
  + 6.2.0 'NOMKSTREAM', 'MINID', 'LIMIT'
  + 7.0.0 ids of the form '<ms>-*'
xautoclaim key@0 group consumer min-idle-time start COUNT=count:integer? JUSTID?
  Takes over messages of a consumer group that have been pending for long
  O(1) if COUNT is small
  + 7.0.0 the reply tells which entries are gone
xclaim key@0 group consumer min-idle-time id* IDLE=ms:integer? TIME=unix-time-milliseconds:time? RETRYCOUNT=count:integer? FORCE? JUSTID? LASTID=id?
  Takes over certain messages of a consumer group
  O(log(N)) for each message, N: messages pending in the group
xcfgset key@0 IDMP-DURATION=duration:integer? IDMP-MAXSIZE=maxsize:integer?
  Sets for how long, and how many, ids of a stream's producers are kept
  O(N), N: ids that are kept
xdel key@0 id*
  Removes entries from a stream
  O(1) for each entry
xdelex key@0 references(KEEPREF|DELREF|ACKED)? IDS=ids{numids:integer id*}
  Removes entries from a stream if groups don't need them, or from the groups, too
  O(1) for each entry
xgroup
  Commands that manage consumer groups
  =
xgroup|create key@0 groupname id(id|"$"/new_id) MKSTREAM? ENTRIESREAD=entries_read:integer?
  Creates a consumer group
  + 7.0.0 'entries_read'
xgroup|createconsumer key@0 groupname consumername
  Creates a consumer in a group
xgroup|delconsumer key@0 groupname consumername
  Deletes a consumer from a group
xgroup|destroy key@0 groupname
  Deletes a consumer group
  O(N), N: messages pending in the group
xgroup|setid key@0 groupname id(id|"$"/new_id) ENTRIESREAD=entries_read:integer?
  Sets the id of the last message that a group was given
  + 7.0.0 'entries_read'
xinfo
  Commands that look into streams
  =
xinfo|consumers key@0 groupname
  Lists the consumers of a group
xidmprecord key@0 pid iid stream-id
  Notes which entry of a stream a producer's message has become; for the append-only file
xinfo|groups key@0
  Lists the consumer groups of a stream
  + 7.0.0 'entries-read' and 'lag'
xinfo|stream key@0 FULL=full{COUNT=count:integer?}?
  Describes a stream
  + 6.0.0 'FULL'
  + 7.0.0 'max-deleted-entry-id', 'entries-added', 'recorded-first-entry-id', 'entries-read', 'lag'
xlen key@0
  Counts the entries of a stream
xnack key@0 group mode(SILENT|FAIL|FATAL) IDS=ids{numids:integer id*} RETRYCOUNT=count:integer? FORCE?
  Gives messages of a consumer group back, for others to claim
  O(log(N)) for each message, N: messages pending in the group
xpending key@0 group filters{IDLE=min-idle-time:integer?^6.2.0 start end count:integer consumer?}?
  Lists messages that were delivered to a group but are not done
  O(N), N: messages returned, or looked at with IDLE
  + 6.2.0 'IDLE', and ranges without their ends
xrange key@0 start end COUNT=count:integer?
  Reads the entries of a stream between two ids
  O(N), N: entries returned
  + 6.2.0 ranges without their ends
xread COUNT=count:integer? BLOCK=milliseconds:integer? STREAMS=streams{key@0* id*}
  Reads the entries of streams behind given ids, and can wait for them
  O(N) for each stream, N: entries returned
xreadgroup GROUP=group_consumer{group consumer} COUNT=count:integer? BLOCK=milliseconds:integer? NOACK? STREAMS=streams{key@0* id*}
  Reads entries of streams as a consumer of a group, and can wait for them
  O(N) for each stream, N: entries returned
xrevrange key@0 end start COUNT=count:integer?
  Reads the entries of a stream between two ids backwards
  O(N), N: entries returned
  + 6.2.0 ranges without their ends
xsetid key@0 last-id ENTRIESADDED=entries_added:integer?^7.0.0 MAXDELETEDID=max_deleted_entry_id?^7.0.0
  Sets the last id of a stream; for replication
  + 7.0.0 'entries_added' and 'max_deleted_entry_id'
xtrim key@0 trim{strategy(MAXLEN|MINID^6.2.0) operator("="/equal|"~"/approximately)? threshold LIMIT=count:integer?^6.2.0}
  Removes the oldest entries of a stream
  O(N), N: entries removed
  + 6.2.0 'MINID' and 'LIMIT'
psubscribe pattern{pattern:pattern}*
  Subscribes to all channels that match patterns
  O(N), N: patterns that the client is subscribed to
publish channel message
  Sends a message to a channel
  O(N+M), N: subscribers of the channel, M: patterns that anyone is subscribed to
pubsub
  Commands that look at channels and subscribers
  =
pubsub|channels pattern:pattern?
  Lists the channels that have subscribers
  O(N), N: channels
pubsub|numpat
  Counts the patterns that anyone is subscribed to
pubsub|numsub channel?*
  Counts the subscribers of channels
  O(N), N: channels asked for
pubsub|shardchannels pattern:pattern?
  Lists the shard channels that have subscribers
  O(N), N: shard channels
pubsub|shardnumsub shardchannel?*
  Counts the subscribers of shard channels
  O(N), N: channels asked for
punsubscribe pattern:pattern?*
  Ends subscriptions to patterns
  O(N+M), N: patterns of the client, M: patterns of all clients
spublish shardchannel message
  Sends a message to a shard channel
  O(N), N: subscribers of the channel
ssubscribe shardchannel*
  Subscribes to shard channels
  O(N), N: channels
subscribe channel*
  Subscribes to channels
  O(N), N: channels
sunsubscribe shardchannel?*
  Ends subscriptions to shard channels
  O(N), N: subscribers of the channels
unsubscribe channel?*
  Ends subscriptions to channels
  O(N), N: subscribers of the channels
discard
  Drops the commands queued since MULTI
  O(N), N: commands queued
exec
  Runs the commands queued since MULTI in one step
  That of the commands
multi
  Begins a transaction: commands are queued until EXEC
unwatch
  Forgets the watched keys
watch key@0*
  Lets the next EXEC do nothing if one of the keys has been changed
  O(1) for each key
auth username?^6.0.0 password
  Logs the connection in
  O(N), N: passwords of the user
  + 6.0.0 'username'
client
  Commands on client connections
  =
client|caching mode(YES|NO)
  Says whether the keys of the next command are tracked
client|getname
  Tells the name of the connection
client|getredir
  Tells which client gets the invalidation messages of this one
client|id
  Tells the id of the connection
client|info
  Describes the connection
client|kill filter("ip:port"~2.8.12|new-format(ID=client-id:integer?^2.8.12|TYPE=normal_master_slave_pubsub(NORMAL|MASTER^3.2.0|SLAVE|REPLICA^5.0.0|PUBSUB)?^2.8.12|USER=username?|ADDR="ip:port"?|LADDR="ip:port"?^6.2.0|SKIPME="yes/no"?)*)
  Closes connections
  O(N), N: connections
  + 2.8.12 filters
  + 2.8.12 'ID'
  + 3.2.0 'master' for 'TYPE'
  + 5.0.0 'replica' for 'TYPE', beside 'slave'
  + 6.2.0 'LADDR'
client|list TYPE=normal_master_replica_pubsub(NORMAL|MASTER|REPLICA|PUBSUB)?^5.0.0 ID=id{client-id:integer*}?^6.2.0
  Describes the connections of all clients
  O(N), N: connections
  + 2.8.12 field 'id'
  + 5.0.0 'TYPE'
  + 6.0.0 field 'user'
  + 6.2.0 'ID', and fields 'argv-mem', 'tot-mem', 'laddr', 'redir'
  + 7.0.0 fields 'resp', 'multi-mem', 'rbs', 'rbp'
  + 7.0.3 field 'ssub'
client|no-evict enabled(ON|OFF)
  Keeps the connection from being closed for its memory use
client|no-touch enabled(ON|OFF)
  Says whether commands of the connection count as use of their keys
client|pause timeout:integer mode(WRITE|ALL)?^6.2.0
  Holds back the commands of all clients for some time
  + 6.2.0 'WRITE' and 'ALL'
client|reply on_off_skip(ON|OFF|SKIP)
  Says whether commands of the connection get replies
client|setinfo attr(LIB-NAME=libname|LIB-VER=libver)
  Tells the server the name or version of the client library
client|setname connection-name
  Names the connection
client|tracking status(ON|OFF) REDIRECT=client-id:integer? PREFIX=prefix?*+ BCAST? OPTIN? OPTOUT? NOLOOP?
  Turns messages about changed keys on or off, for caches in clients
client|trackinginfo
  Describes the tracking of the connection
client|unblock client-id:integer timeout_error(TIMEOUT|ERROR)?
  Wakes a client that waits in a blocking command
  O(log(N)), N: connections
client|unpause
  Ends CLIENT PAUSE
  O(N), N: clients held back
echo message
  Returns its argument
hello arguments{protover:integer AUTH=username_password{username password}? SETNAME=clientname?}?
  Chooses the protocol, can log in and name the connection, and describes the server
  + 6.2.0 may be called without 'protover', which changes nothing
ping message?
  Tells that the server is there
quit
  Closes the connection
reset
  Puts the connection in the state of a new one
select index:integer
  Chooses the database of the connection
acl
  Commands that manage users and what they may do
  =
acl|cat categoryname?
  Lists the command categories, or the commands of one
acl|deluser username*
  Deletes users, and closes their connections
acl|dryrun username command arg?*
  Tells whether a user may run a command, without running it
acl|genpass bits:integer?
  Makes up a password that is hard to guess
acl|getuser username
  Describes a user
  O(N), N: rules of the user
  + 6.2.0 channel patterns
  + 7.0.0 selectors; key and channel patterns in the form of their rules
acl|list
  Lists the users and their rules
  O(N), N: users
acl|load
  Reads the users from the ACL file
  O(N), N: users
acl|log operation(count:integer|RESET)?
  Lists what was denied to whom
  O(N), N: entries returned
acl|save
  Writes the users to the ACL file
  O(N), N: users
acl|setuser username rule?*
  Creates a user or changes its rules
  O(N), N: rules given
  + 6.2.0 channel patterns
  + 7.0.0 selectors, and permissions by key
acl|users
  Lists the names of the users
  O(N), N: users
acl|whoami
  Tells as which user the connection is logged in
bgrewriteaof
  Starts writing the append-only file anew
bgsave SCHEDULE?^3.2.2
  Starts saving the dataset to disk
  + 3.2.2 'SCHEDULE'
command
  Describes all commands
  O(N), N: commands
command|count
  Counts the commands
command|docs command-name?*
  Documents commands
  O(N), N: commands asked for
command|getkeys
  Picks the keys out of a command
  O(N), N: arguments of the command
command|getkeysandflags
  Picks the keys out of a command and tells what it does with them
  O(N), N: arguments of the command
command|info command-name?*
  Describes commands
  O(N), N: commands asked for
  + 7.0.0 may be called without names, for all commands
command|list FILTERBY=filterby(MODULE=module-name|ACLCAT=category|PATTERN=pattern:pattern)?
  Lists the names of commands
  O(N), N: commands
commandlog
  Commands on the logs of slow commands, large requests and large replies
  =
commandlog|get count:integer type(SLOW|LARGE-REQUEST|LARGE-REPLY)
  Lists entries of such a log
  O(N), N: entries returned
commandlog|len type(SLOW|LARGE-REQUEST|LARGE-REPLY)
  Counts the entries of such a log
commandlog|reset type(SLOW|LARGE-REQUEST|LARGE-REPLY)
  Deletes the entries of such a log
  O(N), N: entries
config
  Commands on the server's parameters
  =
config|get parameter{parameter}*
  Reads parameters
  O(N), N: parameters asked for
  + 7.0.0 more than one pattern
config|resetstat
  Sets the counters that INFO reports to zero
config|rewrite
  Writes the parameters to the configuration file
config|set parameter_value{parameter value}*
  Changes parameters
  O(N), N: parameters given
  + 7.0.0 more than one parameter
dbsize
  Counts the keys of the database
debug !syscmd
  Commands for testing the server
  =
failover TO=target{host port:integer FORCE?}? ABORT? TIMEOUT=milliseconds:integer?
  Makes a replica the master
flushall async(ASYNC^4.0.0|SYNC^6.2.0)?
  Deletes the keys of all databases
  O(N), N: keys
  + 4.0.0 'ASYNC'
  + 6.2.0 'SYNC'
flushdb async(ASYNC^4.0.0|SYNC^6.2.0)?
  Deletes the keys of the database
  O(N), N: keys of the database
  + 4.0.0 'ASYNC'
  + 6.2.0 'SYNC'
info section?*
  Reports the state and the counters of the server
  + 7.0.0 more than one section
lastsave
  Tells when the dataset was saved last
latency
  Commands on events that took long
  =
latency|doctor
  Gives advice about latency
latency|graph event
  Draws the latency of an event
latency|histogram command?*
  Reports how long commands took, as histograms
  O(N), N: commands asked for
latency|history event
  Lists the samples of an event
latency|latest
  Lists the last sample of each event
latency|reset event?*
  Deletes the samples of events
lolwut VERSION=version:integer?
  Draws something, and tells the version
  -
memory
  Commands on the use of memory
  =
memory|doctor
  Gives advice about memory
memory|malloc-stats
  Reports on the allocator
  Depends on the allocator
memory|purge
  Gives unused memory back to the operating system
  Depends on the allocator
memory|stats
  Reports what uses how much memory
memory|usage key@0 SAMPLES=count:integer?
  Tells how many bytes a key takes
  O(N), N: elements sampled
module
  Commands on modules
  =
module|list
  Lists the modules
  O(N), N: modules
module|load path arg?*
  Loads a module
module|loadex path CONFIG=configs{name value}?*+ ARGS=args{arg}?*
  Loads a module with parameters
module|unload name
  Unloads a module
monitor
  Sends every command that the server runs to this connection
  -
psync replicationid offset:integer
  Asks for replication; for replicas
  -
replconf !syscmd
  Tells the master about a replica; for replicas
replicaof args(host-port{host port:integer}|no-one{NO ONE})
  Makes the server a replica of another one, or ends that
restore-asking key@0 ttl:integer serialized-value REPLACE?^3.0.0 ABSTTL?^5.0.0 IDLETIME=seconds:integer?^5.0.0 FREQ=frequency:integer?^5.0.0 !syscmd
  Creates a key while its slot is moved here; for clusters
  O(N*M), N: elements, M: their average size; O(N*M*log(N)) for sorted sets
  + 3.0.0 'REPLACE'
  + 5.0.0 'ABSTTL'
  + 5.0.0 'IDLETIME' and 'FREQ'
role
  Tells the part that the server has in replication
save
  Saves the dataset to disk, and answers when that is done
  O(N), N: keys
sflush data{slot-start:integer slot-last:integer}* flush-type(ASYNC|SYNC)?
  Deletes the keys of slots
  O(N), N: keys of the slots
shutdown nosave_save(NOSAVE|SAVE)? NOW?^7.0.0 FORCE?^7.0.0 ABORT?^7.0.0
  Ends the server, after saving if that is configured
  O(N) if it saves, N: keys
  + 7.0.0 'NOW', 'FORCE', 'ABORT'
slaveof args(host-port{host port:integer}|no-one{NO ONE})
  Makes the server a replica of another one, or ends that
  > 5.0.0 'REPLICAOF'
slowlog
  Commands on the log of slow commands
  =
slowlog|get count:integer?
  Lists entries of the slow log
  O(N), N: entries returned
  + 4.0.0 the client's address and name
slowlog|len
  Counts the entries of the slow log
slowlog|reset
  Deletes the entries of the slow log
  O(N), N: entries
swapdb index1:integer index2:integer
  Swaps two databases
  O(N), N: clients that watch or wait for keys of them
sync
  Asks for replication; for replicas
  -
time
  Tells the server's time
eval script numkeys:integer key@0?* arg?*
  Runs a script
  That of the script
evalsha sha1 numkeys:integer key@0?* arg?*
  Runs a script that the server knows, by its SHA1
  That of the script
evalsha_ro sha1 numkeys:integer key@0?* arg?*
  Runs a script that the server knows and that only reads
  That of the script
eval_ro script numkeys:integer key@0?* arg?*
  Runs a script that only reads
  That of the script
fcall function numkeys:integer key@0?* arg?*
  Calls a function
  That of the function
fcall_ro function numkeys:integer key@0?* arg?*
  Calls a function that only reads
  That of the function
function
  Commands on functions
  =
function|delete library-name
  Deletes a library of functions
function|dump
  Serializes all libraries
  O(N), N: functions
function|flush async(ASYNC|SYNC)?
  Deletes all libraries
  O(N), N: functions
function|kill
  Stops the function that is running
function|list LIBRARYNAME=library-name-pattern? WITHCODE?
  Lists libraries and their functions
  O(N), N: functions
function|load REPLACE? function-code
  Loads a library
function|restore serialized-value policy(FLUSH|APPEND|REPLACE)?
  Loads libraries that FUNCTION DUMP serialized
  O(N), N: functions in the dump
function|stats
  Describes the function that is running, and the engines
script
  Commands on scripts
  =
script|debug mode(YES|SYNC|NO)
  Sets how the scripts of the connection are debugged
script|exists sha1*
  Tells which scripts the server knows
  O(N), N: scripts asked for
script|flush async(ASYNC|SYNC)?^6.2.0
  Forgets all scripts
  O(N), N: scripts
  + 6.2.0 'ASYNC' and 'SYNC'
script|kill
  Stops the script that is running
script|load script
  Lets the server know a script
  O(N), N: bytes of the script
script|show sha1
  Shows a script that the server knows
asking
  Allows the next command on a slot that is moved here
cluster
  Commands on the cluster
  =
cluster|addslots slot:integer*
  Gives slots to this node
  O(N), N: slots given
cluster|addslotsrange start-slot_end-slot{start-slot:integer end-slot:integer}*
  Gives ranges of slots to this node
  O(N), N: slots in the ranges
cluster|bumpepoch
  Advances the configuration epoch
cluster|count-failure-reports node-id
  Counts the failure reports about a node
  O(N), N: reports
cluster|countkeysinslot slot:integer
  Counts the keys of a slot
cluster|delslots slot:integer*
  Takes slots from this node
  O(N), N: slots given
cluster|delslotsrange start-slot_end-slot{start-slot:integer end-slot:integer}*
  Takes ranges of slots from this node
  O(N), N: slots in the ranges
cluster|failover options(FORCE|TAKEOVER)?
  Makes this replica the master
cluster|flushslots
  Takes all slots from this node
cluster|forget node-id
  Removes a node from the cluster
cluster|getkeysinslot slot:integer count:integer
  Lists keys of a slot
  O(N), N: keys asked for
cluster|info
  Reports the state of the cluster
cluster|keyslot key
  Tells the slot of a key
  O(N), N: bytes of the key
cluster|links
  Lists the connections to other nodes
  O(N), N: nodes
cluster|meet ip port:integer cluster_bus_port:integer?^4.0.0
  Adds a node to the cluster
  + 4.0.0 'cluster_bus_port'
cluster|myid
  Tells the id of this node
cluster|myshardid
  Tells the id of this node's shard
cluster|nodes
  Lists the nodes as the cluster configuration file has them
  O(N), N: nodes
cluster|replicas node-id
  Lists the replicas of a node
  O(N), N: replicas
cluster|replicate node-id
  Makes this node a replica of another one
cluster|reset hard_soft(HARD|SOFT)?
  Makes this node forget the cluster
  O(N), N: nodes
cluster|saveconfig
  Writes the cluster configuration file
cluster|set-config-epoch config-epoch:integer
  Sets the configuration epoch of a new node
cluster|setslot slot:integer subcommand(IMPORTING=node-id|MIGRATING=node-id|NODE=node-id|STABLE)
  Says which node has a slot, or that it is on the move
cluster|shards
  Lists the shards with their slots and nodes
  O(N), N: nodes
cluster|slaves node-id
  Lists the replicas of a node
  O(N), N: replicas
  > 5.0.0 'CLUSTER REPLICAS'
cluster|slots
  Lists ranges of slots with the nodes that have them
  O(N), N: nodes
  + 4.0.0 ids of nodes
  + 7.0.0 metadata for connecting to nodes
  > 7.0.0 'CLUSTER SHARDS'
readonly
  Lets the connection read from a replica
readwrite
  Ends READONLY
`;
