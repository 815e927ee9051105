/** Whether a user may run a command: the check behind every NOPERM. */

import { hasBit } from '../access/catalog.js';
import { allowsChannel, allowsKey, readsAllKeys } from '../access/permission.js';
import type { Selector } from '../access/selector.js';
import type { User } from '../access/user.js';
import { IntegerParser } from '../memory/numbers.js';
import { KeyPositions } from './key-positions.js';
import type { CommandRequest } from './request.js';
import {
  ChannelRule,
  type Command,
  CommandFlag,
  DatabaseRule,
  keyPermissionOf,
  onlyKey,
} from './table/command-table.js';

/** Why a command is denied. If several selectors refuse it, the highest value is reported. */
export const enum Refusal {
  None = 0,
  Database = 1,
  Command = 2,
  Key = 3,
  Channel = 4,
}

export class AccessCheck {
  private readonly positions = new KeyPositions();
  private readonly number = new IntegerParser();
  /** `positions` are those of the request that is being checked. */
  private hasPositions = false;
  /** After a refusal: the argument that it is for, 0 if none is. */
  argument = 0;
  private refusedArgument = 0;

  /** Whether a user may run a command with this request in a database. */
  check(user: User, command: Command, request: CommandRequest, database: number): Refusal {
    const { selectors } = user;
    let worst = Refusal.None;
    this.argument = 0;
    this.hasPositions = false;
    for (let index = 0; index < selectors.length; index++) {
      this.refusedArgument = 0;
      const refusal = this.checkSelector(selectors[index], command, request, database);
      if (refusal === Refusal.None) return Refusal.None;
      if (refusal > worst || (refusal === worst && this.refusedArgument > this.argument)) {
        worst = refusal;
        this.argument = this.refusedArgument;
      }
    }
    return worst;
  }

  /** Whether a command that also reads keys named by the data may run: a selector has to allow reading all keys. */
  mayReadAllKeys(user: User, command: Command, request: CommandRequest, database: number): boolean {
    this.hasPositions = false;
    return user.selectors.some(
      (selector) =>
        readsAllKeys(selector) && this.checkSelector(selector, command, request, database) === Refusal.None,
    );
  }

  private checkSelector(
    selector: Selector,
    command: Command,
    request: CommandRequest,
    database: number,
  ): Refusal {
    if (selector.databases !== null && !this.allowsDatabases(selector.databases, command, request, database))
      return Refusal.Database;
    const { commands } = selector;
    if (!commands.isAll && (command.flags & CommandFlag.NoAuth) === 0 && !hasBit(commands.bits, command.id)) {
      if (commands.firstArguments.size === 0 || !allowsFirstArgument(selector, command, request))
        return Refusal.Command;
    }
    if (!selector.allKeys && command.hasKeys && !this.allowsKeys(selector, command, request))
      return Refusal.Key;
    if (!selector.allChannels && command.channelRule !== ChannelRule.None) {
      if (!this.allowsChannels(selector, command, request)) return Refusal.Channel;
    }
    return Refusal.None;
  }

  private allowsKeys(selector: Selector, command: Command, request: CommandRequest): boolean {
    const { bytes } = request;
    const key = command.keyPermission < 0 ? 0 : onlyKey(command, request.count);
    if (key > 0) {
      if (allowsKey(selector, command.keyPermission, bytes, request.offset(key), request.length(key)))
        return true;
      this.refusedArgument = key;
      return false;
    }
    const { positions } = this;
    if (!this.hasPositions) {
      this.hasPositions = true;
      positions.collect(command, request);
    }
    for (let index = 0; index < positions.count; index++) {
      const argument = positions.indices[index];
      const permission = keyPermissionOf(positions.flags[index]);
      if (allowsKey(selector, permission, bytes, request.offset(argument), request.length(argument)))
        continue;
      this.refusedArgument = argument;
      return false;
    }
    return true;
  }

  private allowsChannels(selector: Selector, { channelRule }: Command, request: CommandRequest): boolean {
    const isPattern = channelRule === ChannelRule.SubscribePattern;
    const end = channelRule === ChannelRule.Publish ? Math.min(2, request.count) : request.count;
    for (let argument = 1; argument < end; argument++) {
      const offset = request.offset(argument);
      if (allowsChannel(selector.channels, isPattern, request.bytes, offset, request.length(argument)))
        continue;
      this.refusedArgument = argument;
      return false;
    }
    return true;
  }

  private allowsDatabases(
    databases: readonly number[],
    command: Command,
    request: CommandRequest,
    current: number,
  ): boolean {
    switch (command.databaseRule) {
      case DatabaseRule.Keys:
        return !command.hasKeys || databases.includes(current);
      case DatabaseRule.Current:
        return databases.includes(current);
      case DatabaseRule.Select:
        return this.allowsNamed(databases, request, 1);
      case DatabaseRule.Swap:
        return this.allowsNamed(databases, request, 1) && this.allowsNamed(databases, request, 2);
      case DatabaseRule.Move:
        return databases.includes(current) && this.allowsNamed(databases, request, 2);
      case DatabaseRule.Copy:
        if (!databases.includes(current)) return false;
        for (let argument = 3; argument + 1 < request.count; argument++) {
          if (isWord(request, argument, 'db') && !this.allowsNamed(databases, request, argument + 1))
            return false;
        }
        return true;
      default:
        return false;
    }
  }

  /** An argument that is not a number passes: the command refuses it itself. */
  private allowsNamed(databases: readonly number[], request: CommandRequest, argument: number): boolean {
    const { number } = this;
    if (argument >= request.count) return true;
    if (!number.parse(request.bytes, request.offset(argument), request.length(argument))) return true;
    if (databases.includes(number.value)) return true;
    this.refusedArgument = argument;
    return false;
  }
}

function allowsFirstArgument({ commands }: Selector, command: Command, request: CommandRequest): boolean {
  return request.count > 1 && commands.hasFirstArgument(command.id, textOf(request, 1));
}

function isWord(request: CommandRequest, argument: number, word: string): boolean {
  return request.length(argument) === word.length && textOf(request, argument).toLowerCase() === word;
}

/** An argument with one character per byte. */
export function textOf(request: CommandRequest, argument: number): string {
  const { buffer, byteOffset } = request.bytes;
  return Buffer.from(buffer, byteOffset + request.offset(argument), request.length(argument)).toString(
    'latin1',
  );
}
