/** ACL LOAD and SAVE: the users in a file of their own. */

import { readUserFile, writeUserFile } from '../../access/user-file.js';
import type { CommandContext } from '../../execution/context.js';
import { systemReason } from '../../system/files.js';

const NO_FILE =
  'ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER ' +
  'command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users ' +
  'in the Redis configuration.';

/** Replaces all users by those of the file; if anything in it is wrong, no user changes. */
export function load({ reply, services }: CommandContext): void {
  const { config, access } = services;
  if (config.accessFile === '') {
    reply.error(NO_FILE);
    return;
  }
  const name = config.value('aclfile');
  let text: string;
  try {
    text = readUserFile(config.accessFile);
  } catch (error) {
    reply.error(`ERR Error loading ACLs, opening file '${name}': ${systemReason(error)}`);
    return;
  }
  let failure: string | null = null;
  const hasRoom = access.update((users) => {
    failure = users.load(text, name);
  });
  if (!hasRoom) failure = 'there is no room for so many users';
  if (failure === null) reply.ok();
  else reply.error(`ERR ${failure}`);
}

export function save({ reply, services }: CommandContext): void {
  const { config, access } = services;
  if (config.accessFile === '') {
    reply.error(NO_FILE);
    return;
  }
  try {
    writeUserFile(config.accessFile, access.users.lines());
    reply.ok();
  } catch (error) {
    services.log(`Writing ACL file for ACL SAVE: ${systemReason(error)}`, 'warning');
    reply.error(
      'ERR There was an error trying to save the ACLs. Please check the server logs for more information',
    );
  }
}
