/** The users that a server starts with: from its configuration, or from the file that it names. */

import { DEFAULT_USER } from '../access/user.js';
import { readUserFile } from '../access/user-file.js';
import { Users } from '../access/users.js';
import type { Config } from '../config/config.js';
import { ruleContext } from '../execution/access-control.js';
import type { CommandTable } from '../execution/table/command-table.js';
import { systemReason } from '../system/files.js';
import type { Log } from '../system/log.js';

const BOTH =
  'Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup is ' +
  'very likely to lead to configuration errors and security holes, please define either an ACL file or declare users ' +
  'directly in your redis.conf, but not both.';

/** Throws an error of one line if the configuration, or the file, is wrong. */
export function initialUsers(config: Config, table: CommandTable, log: Log): Users {
  const users = new Users(ruleContext(table, config));
  users.setDefaultPassword(config.requirePass);
  if (config.accessFile !== '') {
    if (config.userLines.length > 0) throw new Error(BOTH);
    return usersOfFile(users, config);
  }
  const failure = users.addConfigured(config.userLines);
  if (failure !== null) throw new Error(failure);
  for (const { name, isOn } of users.sorted()) {
    if (isOn || (name === DEFAULT_USER && config.userLines.length === 0)) continue;
    log(
      `The user '${name}' is disabled (there is no 'on' modifier in the user description). Make sure this is not a ` +
        'configuration error.',
    );
  }
  return users;
}

function usersOfFile(users: Users, config: Config): Users {
  const name = config.value('aclfile');
  let text: string;
  try {
    text = readUserFile(config.accessFile);
  } catch (error) {
    throw new Error(
      `Aborting Redis startup because of ACL errors: Error loading ACLs, opening file '${name}': ${systemReason(error)}`,
    );
  }
  const failure = users.load(text, name);
  if (failure !== null) throw new Error(`Aborting Redis startup because of ACL errors: ${failure}`);
  return users;
}
