/**
 * What rules can name: every command with its number, its subcommands and its categories. Rules use the original names
 * of commands, whatever `rename-command` says. Commands of Redis that are still missing here are known, too, so that a
 * file of users written for Redis can be read.
 */

/** In the order in which they are listed, which is also that of the bits in `CatalogCommand.categories`. */
export const CATEGORIES: readonly string[] = (
  'keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin fast slow ' +
  'blocking dangerous connection transaction scripting'
).split(' ');

export interface CatalogCommand {
  /** As "config|set". */
  readonly name: string;
  /** One bit for each of CATEGORIES. */
  readonly categories: number;
  /** The number of the container whose subcommand it is, else -1. */
  readonly parent: number;
  /** Whether Redis 7.0 has it. `describe` chooses categories by these commands alone, to choose as Redis does. */
  readonly isInRedis7: boolean;
}

export class CommandCatalog {
  readonly commands: readonly CatalogCommand[];
  /** Words of a bitmap with a bit for each command and one for `futureBit`. */
  readonly words: number;
  /** The bit that stands for future commands: only a rule for all commands sets it. */
  readonly futureBit: number;
  /** By category, the bits that a rule about it changes; for a container also those of all its subcommands. */
  readonly categoryMasks: readonly Int32Array[];
  /** By category, the bits of the Redis 7.0 commands that belong to it themselves. */
  readonly categoryMembers: readonly Int32Array[];
  private readonly byName = new Map<string, number>();
  private readonly subcommands: readonly (readonly number[])[];

  constructor(commands: readonly CatalogCommand[]) {
    this.commands = commands;
    this.futureBit = commands.length;
    this.words = (this.futureBit >> 5) + 1;
    const subcommands: number[][] = commands.map(() => []);
    commands.forEach(({ name, parent }, index) => {
      this.byName.set(name, index);
      if (parent >= 0) subcommands[parent].push(index);
    });
    this.subcommands = subcommands;
    this.categoryMasks = CATEGORIES.map(() => new Int32Array(this.words));
    this.categoryMembers = CATEGORIES.map(() => new Int32Array(this.words));
    commands.forEach(({ categories, isInRedis7 }, index) => {
      for (let category = 0; category < CATEGORIES.length; category++) {
        if ((categories & (1 << category)) === 0) continue;
        for (const changed of [index, ...subcommands[index]]) setBit(this.categoryMasks[category], changed);
        if (isInRedis7) setBit(this.categoryMembers[category], index);
      }
    });
  }

  /** The number of the command "name" or "container|name", in any case; -1 if there is none. */
  find(name: string): number {
    return this.byName.get(name.toLowerCase()) ?? -1;
  }

  /** The numbers of a container's subcommands. */
  subcommandsOf(command: number): readonly number[] {
    return this.subcommands[command];
  }
}

/** The number of a category by its name in any case; -1 if there is none. */
export function categoryIndex(name: string): number {
  return CATEGORIES.indexOf(name.toLowerCase());
}

export function setBit(bits: Int32Array, bit: number): void {
  bits[bit >> 5] |= 1 << (bit & 31);
}

export function clearBit(bits: Int32Array, bit: number): void {
  bits[bit >> 5] &= ~(1 << (bit & 31));
}

export function hasBit(bits: Int32Array, bit: number): boolean {
  return (bits[bit >> 5] & (1 << (bit & 31))) !== 0;
}
