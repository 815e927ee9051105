/** Commands as the rules of users name them. Those of the table come first: their numbers are their ids. */

import { CATEGORIES, type CatalogCommand, CommandCatalog } from '../../access/catalog.js';
import { COMMAND_ROWS } from './command-rows.js';
import { CommandFlag, type CommandTable, flagsOfWords } from './command-table.js';

/** Commands since then are not in Redis 7.0. */
const NEWER_SINCE = /^(7\.[1-9]|[89]\.|\d\d)/;

/** The categories of a command: those of its row, and those that follow from its flags. In the order of CATEGORIES. */
export function categoriesOf(flags: number, words: readonly string[]): string[] {
  const categories = new Set(words);
  if ((flags & CommandFlag.Write) !== 0) categories.add('write');
  if ((flags & CommandFlag.Readonly) !== 0 && !categories.has('scripting')) categories.add('read');
  if ((flags & CommandFlag.Admin) !== 0) categories.add('admin').add('dangerous');
  if ((flags & CommandFlag.Pubsub) !== 0) categories.add('pubsub');
  if ((flags & CommandFlag.Blocking) !== 0) categories.add('blocking');
  categories.add((flags & CommandFlag.Fast) !== 0 ? 'fast' : 'slow');
  return CATEGORIES.filter((category) => categories.has(category));
}

/** All rows as a catalog. A row without a handler has a number as well, above the ids of the table. */
export function createCatalog(table: CommandTable): CommandCatalog {
  const commands: CatalogCommand[] = [];
  const numbers = new Map<string, number>();
  for (let id = 0; id < table.size; id++) numbers.set(table.byId(id).fullName, id);
  for (const [rowName] of COMMAND_ROWS) {
    if (!numbers.has(nameOf(rowName))) numbers.set(nameOf(rowName), numbers.size);
  }
  for (const [rowName, , since, , flagText, categoryText] of COMMAND_ROWS) {
    const name = nameOf(rowName);
    const [container, subcommand] = name.split('|');
    const categories = categoriesOf(
      flagsOfWords(flagText),
      categoryText === '' ? [] : categoryText.split(' '),
    );
    commands[numbers.get(name) as number] = {
      name,
      categories: categories.reduce((bits, category) => bits | (1 << CATEGORIES.indexOf(category)), 0),
      parent: subcommand === undefined ? -1 : (numbers.get(container) as number),
      isInRedis7: !NEWER_SINCE.test(since),
    };
  }
  return new CommandCatalog(commands);
}

function nameOf(rowName: string): string {
  return rowName.toLowerCase().replace(' ', '|');
}
