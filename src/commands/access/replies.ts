/** What the replies of ACL have in common. */

import type { CommandContext } from '../../execution/context.js';
import type { ReplyWriter } from '../../protocol/reply-writer.js';

/** A byte string as a bulk string. */
export function replyLatin1(reply: ReplyWriter, text: string): void {
  reply.bulkBuffer(Buffer.from(text, 'latin1'));
}

/** Too many arguments for a subcommand with optional ones. */
export function wrongSubcommandArguments(context: CommandContext): void {
  const subcommand = context.argQuoted(1).slice(0, 128);
  context.reply.error(
    `ERR unknown subcommand or wrong number of arguments for '${subcommand}'. Try ACL HELP.`,
  );
}
