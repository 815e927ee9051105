/**
 * The commands that a selector allows: a bit for each command, and for some commands whose bit is off the first
 * arguments with which they are allowed.
 */

import { CATEGORIES, type CommandCatalog, clearBit, hasBit, setBit } from './catalog.js';

export class AllowedCommands {
  readonly catalog: CommandCatalog;
  bits: Int32Array;
  /** Everything was allowed at once, and nothing was taken away since. */
  isAll = false;
  /** By command; the arguments are in the order in which rules gave them. */
  readonly firstArguments = new Map<number, string[]>();

  constructor(catalog: CommandCatalog) {
    this.catalog = catalog;
    this.bits = new Int32Array(catalog.words);
  }

  copy(): AllowedCommands {
    const copy = new AllowedCommands(this.catalog);
    copy.bits = this.bits.slice();
    copy.isAll = this.isAll;
    for (const [command, args] of this.firstArguments) copy.firstArguments.set(command, [...args]);
    return copy;
  }

  has(command: number): boolean {
    return hasBit(this.bits, command);
  }

  /** Whether a command is allowed with a first argument, which is compared in any case. */
  hasFirstArgument(command: number, argument: string): boolean {
    const allowed = this.firstArguments.get(command);
    if (allowed === undefined) return false;
    const lowerCase = lower(argument);
    return allowed.some((one) => lower(one) === lowerCase);
  }

  allowAll(): void {
    const { bits, catalog } = this;
    for (let bit = 0; bit <= catalog.futureBit; bit++) setBit(bits, bit);
    this.isAll = true;
    this.firstArguments.clear();
  }

  denyAll(): void {
    this.bits.fill(0);
    this.isAll = false;
    this.firstArguments.clear();
  }

  /** Allows or denies a command with its subcommands. */
  change(command: number, isAllowed: boolean): void {
    const { bits, catalog } = this;
    for (const changed of [command, ...catalog.subcommandsOf(command)]) {
      if (isAllowed) setBit(bits, changed);
      else clearBit(bits, changed);
    }
    if (!isAllowed) this.isAll = false;
    this.firstArguments.delete(command);
  }

  /** The same for all commands of a category. */
  changeCategory(category: number, isAllowed: boolean): void {
    const { bits, catalog } = this;
    const mask = catalog.categoryMasks[category];
    for (let word = 0; word < mask.length; word++) {
      if (isAllowed) bits[word] |= mask[word];
      else bits[word] &= ~mask[word];
    }
    if (!isAllowed) this.isAll = false;
    for (const command of [...this.firstArguments.keys()]) {
      if (hasBit(mask, command)) this.firstArguments.delete(command);
    }
  }

  addFirstArgument(command: number, argument: string): void {
    if (this.hasFirstArgument(command, argument)) return;
    const known = this.firstArguments.get(command);
    if (known === undefined) this.firstArguments.set(command, [argument]);
    else known.push(argument);
  }

  /**
   * Rules that produce these permissions, found as by Redis 7.0: first all commands or none, then the categories that
   * fit best, one after the other, then each command that still differs.
   */
  describe(): string {
    const { catalog } = this;
    const isAdditive = !this.has(catalog.futureBit);
    const rules = [isAdditive ? '-@all' : '+@all'];
    const described = new AllowedCommands(catalog);
    if (!isAdditive) described.allowAll();
    const left = this.copy();
    const applied = new Set<number>();
    for (;;) {
      const best = left.bestCategory(isAdditive, applied);
      if (best < 0) break;
      applied.add(best);
      rules.push(`${isAdditive ? '+' : '-'}@${CATEGORIES[best]}`);
      described.changeCategory(best, isAdditive);
      left.changeCategory(best, !isAdditive);
    }
    catalog.commands.forEach(({ parent }, command) => {
      if (parent >= 0) return;
      for (const one of [command, ...catalog.subcommandsOf(command)]) this.describeOne(one, described, rules);
    });
    return rules.join(' ');
  }

  private describeOne(command: number, described: AllowedCommands, rules: string[]): void {
    const { name } = this.catalog.commands[command];
    const isAllowed = this.has(command);
    if (isAllowed !== described.has(command)) {
      rules.push(`${isAllowed ? '+' : '-'}${name}`);
      described.change(command, isAllowed);
    }
    if (isAllowed) return;
    for (const argument of this.firstArguments.get(command) ?? []) rules.push(`+${name}|${argument}`);
  }

  /** The category with the fewest commands to be corrected afterwards; -1 if none has more right than wrong ones. */
  private bestCategory(isAdditive: boolean, applied: ReadonlySet<number>): number {
    const { bits, catalog } = this;
    let best = -1;
    let leastDifferent = Number.POSITIVE_INFINITY;
    let mostSame = 0;
    for (let category = 0; category < CATEGORIES.length; category++) {
      if (applied.has(category)) continue;
      const members = catalog.categoryMembers[category];
      let on = 0;
      let off = 0;
      for (let word = 0; word < members.length; word++) {
        on += bitCount(members[word] & bits[word]);
        off += bitCount(members[word] & ~bits[word]);
      }
      const different = isAdditive ? off : on;
      const same = isAdditive ? on : off;
      if (same <= different) continue;
      if (different < leastDifferent || (different === leastDifferent && same > mostSame)) {
        best = category;
        leastDifferent = different;
        mostSame = same;
      }
    }
    return best;
  }
}

/** ASCII letters alone have two cases. */
function lower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function bitCount(word: number): number {
  let count = word - ((word >>> 1) & 0x55555555);
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
