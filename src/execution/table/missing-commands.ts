/**
 * Commands that exist, but not here yet: a client that sends one is told so, unlike one that mistypes a name. Those of
 * Redis 7 are the rows of the table without a handler; those of later versions of Redis and Valkey, and of the modules
 * that come with Redis 8, are listed here. A name goes from the list when it gets a row.
 */

const NEWER = new Set(
  [
    // Redis 8.0: vector sets
    'VADD VCARD VDIM VEMB VGETATTR VINFO VISMEMBER VLINKS VRANDMEMBER VRANGE VREM VSETATTR VSIM',
    // Redis 8.2 to 8.6
    'HOTKEYS',
    // Redis 8.8
    'ARCOUNT ARDEL ARDELRANGE ARGET ARGETRANGE ARGREP ARINFO ARINSERT ARLASTITEMS ARLEN ARMGET ARMSET ARNEXT AROP',
    'ARRING ARSCAN ARSEEK ARSET',
    // Redis 8.10 and 8.12
    'BACKUP HIMPORT',
    'BITRANGEINTARRAY BLESS BZMOVE ZMOVE ZMOVEMEMBER',
    'SEXPIRE SEXPIREAT SEXPIRETIME SPERSIST SPEXPIRE SPEXPIREAT SPEXPIRETIME SPTTL STTL',
    // Valkey 8.1 to 9.2
    'CLUSTERSCAN',
    'PHCARD PHDEL PHDELPREFIX PHEXISTS PHGET PHGETALL PHLONGEST PHMGET PHMSET PHPREFIXES PHSCAN PHSET',
  ].flatMap((names) => names.split(' ')),
);

const NEWER_SUBCOMMANDS = new Set(['CLIENT CAPA', 'CLIENT IMPORT-SOURCE']);

/** JSON.SET, FT.SEARCH and their like. */
const MODULE_COMMAND = /^(BF|CF|CMS|FT|JSON|TDIGEST|TOPK|TS|VSET)\.\w+$/;

/** Whether a name in upper case is that of a command of a later version, or of a module of Redis 8. */
export function isNewerCommand(name: string): boolean {
  return NEWER.has(name) || NEWER_SUBCOMMANDS.has(name) || MODULE_COMMAND.test(name);
}

/** All names that are listed; for tests. */
export function newerCommandNames(): readonly string[] {
  return [...NEWER, ...NEWER_SUBCOMMANDS];
}
