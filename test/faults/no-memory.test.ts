/**
 * Commands that find no memory: each allocation of each write command fails once. Whatever the command replies, the
 * shards are sound, what was recorded does to other shards what has happened to these, and a command that replies OOM
 * has changed nothing.
 *
 * DAMSELFLY_NO_MEMORY_COMMANDS and DAMSELFLY_NO_MEMORY_SEED change how many commands are tried, and which.
 */

import t from 'tap';
import { familiesByName } from '../compat/compare.js';
import type { CommandMaker, Family } from '../compat/family.js';
import { Vocabulary, type Word } from '../compat/vocabulary.js';
import { AllocationFaults, Engine } from '../tools/engine.js';

const COMMANDS = Number(process.env.DAMSELFLY_NO_MEMORY_COMMANDS ?? 300);
const SEED = Number(process.env.DAMSELFLY_NO_MEMORY_SEED ?? 1);
const SHARD_BYTES = 8 << 20;
/** Beyond this a command's allocations fail at every so many of them. */
const FAULTS_MAX = 30;
const NOW_MS = Date.UTC(2026, 5, 1);
const OUT_OF_MEMORY = /^-OOM /;
/** The outcome depends on chance. */
const RANDOM = new Set(['spop', 'srandmember', 'hrandfield', 'zrandmember', 'randomkey']);

function bulk(v: Vocabulary, most: number, make: () => Word[]): Word[] {
  return Array.from({ length: v.between(1, most) }, make).flat();
}

function expiry(v: Vocabulary): Word[] {
  return v.pick<Word[]>([[], ['EX', '5000'], ['PXAT', String(NOW_MS + 7_000_000)], ['KEEPTTL']]);
}

function fields(v: Vocabulary, values: boolean): Word[] {
  const count = v.between(1, 12);
  const words = Array.from({ length: count }, () => (values ? [v.value(), v.value()] : [v.value()]));
  return ['FIELDS', String(count), ...words.flat()];
}

/** Commands of many elements, so that small forms become large ones; and those that Redis 7.0 does not know. */
const OWN: Family = {
  name: 'own',
  commands: [
    [3, (v) => ['SADD', v.key(), ...bulk(v, 40, () => [v.value()])]],
    [1, (v) => ['SADD', v.key(), ...bulk(v, 2000, () => [`member ${v.below(9000)}`])]],
    [3, (v) => ['HSET', v.key(), ...bulk(v, 40, () => [v.value(), v.value()])]],
    [1, (v) => ['HSET', v.key(), ...bulk(v, 1500, () => [`field ${v.below(9000)}`, v.value()])]],
    [3, (v) => ['ZADD', v.key(), ...bulk(v, 40, () => [String(v.below(100)), v.value()])]],
    [1, (v) => ['ZADD', v.key(), ...bulk(v, 1500, () => [String(v.below(100)), `member ${v.below(9000)}`])]],
    [3, (v) => [v.pick(['RPUSH', 'LPUSH']), v.key(), ...bulk(v, 60, () => [v.value()])]],
    [1, (v) => ['RPUSH', v.key(), ...bulk(v, 2000, () => ['v'.repeat(v.below(200))])]],
    [4, (v) => ['MSET', ...bulk(v, 12, () => [v.key(), v.value()])]],
    [1, (v) => ['MSETNX', ...bulk(v, 12, () => [`new ${v.below(100)}`, v.value()])]],
    [3, (v) => ['MSETEX', '2', v.key(), v.value(), v.key(), v.value(), ...expiry(v)]],
    [1, (v) => ['SET', v.key(), v.value(), ...expiry(v)]],
    [
      3,
      (v) => [
        'HSETEX',
        v.key(),
        ...v.options(1, [() => ['FNX'], () => ['FXX']]),
        ...expiry(v),
        ...fields(v, true),
      ],
    ],
    [3, (v) => ['HPEXPIRE', v.key(), String(v.between(0, 10) * 1_000_000), ...fields(v, false)]],
    [2, (v) => ['HGETEX', v.key(), ...v.pick<Word[]>([['PX', '8000000'], ['PERSIST']]), ...fields(v, false)]],
    [1, (v) => ['HPERSIST', v.key(), ...fields(v, false)]],
    [1, (v) => ['HGETDEL', v.key(), ...fields(v, false)]],
    [2, (v) => ['LMOVE', v.key(), v.key(), v.pick(['LEFT', 'RIGHT']), v.pick(['LEFT', 'RIGHT'])]],
    [2, (v) => ['SMOVE', v.key(), v.key(), v.value()]],
    [2, (v) => ['COPY', v.key(), v.key(), 'REPLACE']],
    [1, (v) => ['COPY', v.key(), v.key(), 'DB', String(v.below(4)), 'REPLACE']],
    [2, (v) => ['RENAME', v.key(), v.key()]],
    [1, (v) => ['MOVE', v.key(), String(v.below(4))]],
    [1, (v) => ['SORT', v.key(), 'ALPHA', 'STORE', v.key()]],
    [2, (v) => ['APPEND', v.key(), 'x'.repeat(v.below(3000))]],
    [1, (v) => ['SETRANGE', v.key(), String(v.below(20_000)), v.value()]],
    [
      1,
      (v) => [
        'BITFIELD',
        v.key(),
        ...bulk(v, 5, () => ['SET', 'u8', `#${v.below(3000)}`, String(v.below(256))]),
      ],
    ],
    [1, (v) => ['LREM', v.key(), '0', v.value()]],
    [1, (v) => ['PEXPIRE', v.key(), String(v.between(1, 10) * 1_000_000)]],
    [1, (v) => ['PERSIST', v.key()]],
    [1, (v) => ['DEL', v.key()]],
  ],
};

const FAMILIES = [
  ...familiesByName('strings,bitmaps,keys,sets,sorted-sets,hashes,lists,sort,dumps'),
  OWN,
  OWN,
];

/** These are not about keys, or are told apart by the tests of transactions. */
const LEFT_OUT = new Set([
  'select',
  'flushall',
  'flushdb',
  'swapdb',
  'multi',
  'exec',
  'discard',
  'watch',
  'migrate',
  'config',
  'debug',
]);

function pickMaker(v: Vocabulary, family: Family): CommandMaker {
  let dice = v.below(16 * family.commands.reduce((sum, [weight]) => sum + weight, 0)) / 16;
  for (const [weight, make] of family.commands) {
    if (dice < weight) return make;
    dice -= weight;
  }
  return family.commands[0]![1];
}

function nameOf(words: readonly Word[]): string {
  return String(words[0] ?? '').toLowerCase();
}

function makeCommand(v: Vocabulary): Word[] {
  for (;;) {
    const words = pickMaker(v, v.pick(FAMILIES))(v);
    const name = nameOf(words);
    if (LEFT_OUT.has(name)) continue;
    // Strings that are long enough, but not so long that all the time is spent on them.
    if (['setbit', 'setrange', 'bitfield'].includes(name) && words.some((word) => Number(word) > 200_000))
      continue;
    // What is about to expire would be gone in one engine and not in the other.
    if (/^(p?expire|p?setex|restore|getex|set)$/.test(name) && words.some((word) => isBrief(word))) continue;
    return words;
  }
}

function isBrief(word: Word): boolean {
  const number = Number(String(word));
  return number > 0 && number < 5000;
}

function show(words: readonly Word[]): string {
  const text = words.map((word) => JSON.stringify(Buffer.from(word as string).toString('latin1'))).join(' ');
  return text.length > 400 ? `${text.slice(0, 400)} …` : text;
}

function difference(left: ReadonlyMap<string, string>, right: ReadonlyMap<string, string>): string {
  for (const [key, value] of left) {
    if (right.get(key) !== value) return `${JSON.stringify(key)}: ${value} / ${right.get(key)}`;
  }
  for (const key of right.keys()) if (!left.has(key)) return `${JSON.stringify(key)} is only in the second`;
  return '';
}

class Trial {
  readonly live: Engine;
  readonly mirror: Engine;
  readonly faults: AllocationFaults;
  trials = 0;
  refused = 0;
  /** By name: commands that replied OOM but had changed something, which was recorded. */
  readonly partial = new Map<string, number>();

  constructor(directives: Readonly<Record<string, string>>) {
    const options = { shards: 2, shardBytes: SHARD_BYTES, directives };
    this.live = new Engine(options);
    this.mirror = new Engine({ ...options, isReplaying: true });
    this.faults = new AllocationFaults(this.live.keyspace.shards);
  }

  /**
   * Tries a command with each of its allocations failing, then runs it. Throws at what is not as it should be.
   * @param keepsPromises as a command that was promised room may rely on; if not, it has to end half way
   */
  run(words: readonly Word[], withSnapshot: boolean, keepsPromises: boolean): void {
    const { live, mirror, faults } = this;
    const liveState = live.save();
    const mirrorState = mirror.save();
    const before = live.dataset();
    faults.keepsPromises = keepsPromises;
    const expectedReply = this.once(words, withSnapshot, Number.POSITIVE_INFINITY, false, before);
    const expected = live.dataset();
    const allocations = this.allocations;
    const step = Math.max(1, Math.floor(allocations / FAULTS_MAX));
    const isRandom = RANDOM.has(nameOf(words));
    for (let number = 1; number <= allocations; number += step) {
      for (const lasting of [false, true]) {
        live.restore(liveState);
        mirror.restore(mirrorState);
        const reply = this.once(words, withSnapshot, number, lasting, before);
        if (isRandom || OUT_OF_MEMORY.test(reply)) continue;
        if (reply !== expectedReply) throw new Error(`it replied ${reply} and not ${expectedReply}`);
        const wrong = difference(live.dataset(), expected);
        if (wrong !== '') throw new Error(`it replied as always, but ${wrong}`);
      }
    }
    live.restore(liveState);
    mirror.restore(mirrorState);
    this.once(words, false, Number.POSITIVE_INFINITY, false, before);
  }

  private allocations = 0;

  /** Runs a command of which an allocation fails. */
  private once(
    words: readonly Word[],
    withSnapshot: boolean,
    number: number,
    lasting: boolean,
    before: ReadonlyMap<string, string>,
  ): string {
    const { live, mirror, faults } = this;
    this.trials++;
    if (withSnapshot) live.beginSnapshot();
    faults.arm(number, lasting);
    const reply = live.run(words, NOW_MS);
    this.allocations = faults.count;
    faults.disarm();
    live.verify();
    const after = live.dataset();
    const recorded = live.takeRecorded();
    const problem = mirror.replay(recorded, NOW_MS);
    if (problem !== '') throw new Error(`${problem} when replayed`);
    mirror.verify();
    const wrong = difference(after, mirror.dataset());
    if (wrong !== '') {
      const shown = JSON.stringify(Buffer.from(recorded).toString('latin1').slice(0, 200));
      throw new Error(`it replied ${JSON.stringify(reply.slice(0, 60))} and recorded ${shown}, but ${wrong}`);
    }
    if (OUT_OF_MEMORY.test(reply)) {
      this.refused++;
      const name = nameOf(words);
      const isPartial = faults.keepsPromises && difference(before, after) !== '';
      if (isPartial) this.partial.set(name, (this.partial.get(name) ?? 0) + 1);
    }
    return reply;
  }
}

/** Small forms of collections, so that random commands meet all of them. */
const FORMS: readonly Readonly<Record<string, string>>[] = [
  {},
  {
    'hash-max-listpack-entries': '8',
    'set-max-listpack-entries': '8',
    'set-max-intset-entries': '4',
    'zset-max-listpack-entries': '8',
    'list-max-listpack-size': '8',
    'list-compress-depth': '1',
  },
];

for (const [form, directives] of FORMS.entries()) {
  for (const withSnapshot of [false, true]) {
    t.test(`form ${form}${withSnapshot ? ', while a snapshot is taken' : ''}`, async (t) => {
      t.setTimeout(0);
      const seed = SEED + 10 * form + (withSnapshot ? 1 : 0);
      const v = new Vocabulary(seed);
      const trial = new Trial(directives);
      for (let number = 0; number < COMMANDS / 4; number++) {
        const words = makeCommand(v);
        try {
          trial.run(words, withSnapshot, v.chance(0.5));
        } catch (error) {
          t.fail(`command ${number} of seed ${seed}: ${show(words)}: ${(error as Error).stack}`);
          return;
        }
      }
      t.comment(`${trial.trials} runs, ${trial.refused} were refused`);
      t.same([...trial.partial], [], 'whoever is refused has changed nothing');
    });
  }
}
