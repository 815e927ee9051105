/**
 * Who the clients of a worker are, and what they may do. The users are shared by all workers as one text under a version
 * (state/shared-config.ts), like the configuration; each worker has its own objects of them, and replaces those whose
 * text has changed. `isRestricted` of a session says whether its commands have to be checked at all.
 */

import { allowsChannel, channelsLeft } from '../access/permission.js';
import type { RuleContext } from '../access/selector.js';
import type { User } from '../access/user.js';
import { Users } from '../access/users.js';
import type { Config } from '../config/config.js';
import { ChannelKind } from '../pubsub/channel-registry.js';
import { type Denial, DenialContext } from '../state/access-log.js';
import { ServerCounter } from '../state/command-statistics.js';
import type { ProcessState } from '../state/process-state.js';
import { monotonicMs } from '../system/clock.js';
import { AccessCheck, Refusal, textOf } from './access-check.js';
import type { ClientRows } from './client-rows.js';
import type { CommandRequest } from './request.js';
import type { Session } from './session.js';
import { createCatalog } from './table/command-catalog.js';
import { type Command, type CommandTable, DatabaseRule } from './table/command-table.js';

const REASONS: readonly string[] = ['', 'database', 'command', 'key', 'channel'];

const COUNTERS: Readonly<Record<string, ServerCounter>> = {
  auth: ServerCounter.AclAccessDeniedAuth,
  command: ServerCounter.AclAccessDeniedCommand,
  key: ServerCounter.AclAccessDeniedKey,
  channel: ServerCounter.AclAccessDeniedChannel,
};

/** What is needed to parse rules: the existing commands, and the directives as they are at that time. */
export function ruleContext(table: CommandTable, config: Config): RuleContext {
  return {
    catalog: createCatalog(table),
    get databases() {
      return config.databases;
    },
    get allowsChannels() {
      return config.allowsChannelsByDefault;
    },
  };
}

export interface AccessOwner {
  readonly state: ProcessState;
  readonly config: Config;
  readonly clientRows: ClientRows;
  /** The sessions of this worker's connections. */
  readonly sessions: ReadonlyMap<number, Session>;
  /** Closes a connection of this worker, whatever it waits for. */
  close(session: Session): void;
  /** The users have changed, and the sessions follow them. */
  changed(): void;
  readonly workerIndex: number;
  wakeWorker(index: number): void;
  /** Whether this thread may wait for others now: not while it holds locks that they may wait for. */
  mayWait(): boolean;
}

/** How long a change waits, at most, for all workers to take it over. A busy worker may take longer. */
const FOLLOW_MS_MAX = 50;

export class AccessControl {
  private readonly owner: AccessOwner;
  private readonly table: CommandTable;
  private readonly context: RuleContext;
  private readonly checker = new AccessCheck();
  private readonly all: Users;
  /** Whether any user is restricted. */
  private hasRestricted = false;

  constructor(owner: AccessOwner, table: CommandTable) {
    this.owner = owner;
    this.table = table;
    this.context = ruleContext(table, owner.config);
    this.all = new Users(this.context);
    this.follow();
  }

  get users(): Users {
    return this.all;
  }

  get defaultUser(): User {
    return this.all.default;
  }

  /** Takes over changes by other threads; returns whether there were any. Costs one load if not. */
  follow(): boolean {
    const news = this.owner.state.users.read();
    if (news === null) return false;
    this.all.apply(news.lines, news.isAll);
    this.changed();
    return true;
  }

  /** Brings this worker's sessions up to date with the users. */
  private changed(): void {
    const { state, sessions, workerIndex } = this.owner;
    this.hasRestricted = this.all.hasRestricted;
    for (const session of [...sessions.values()]) this.followUser(session);
    this.owner.changed();
    Atomics.store(state.usersFollowed, workerIndex, state.users.version);
    Atomics.notify(state.usersFollowed, workerIndex);
  }

  /**
   * Waits until all workers have taken over a change: when the client that made it gets its reply, no client has the
   * revoked rights any more. A worker that has not been started has no clients yet.
   */
  private awaitOthers(version: number): void {
    const { state, workerIndex } = this.owner;
    const { usersFollowed } = state;
    const { startedWorkers } = state.workerLoad;
    const isBehind = (worker: number): boolean => Atomics.load(usersFollowed, worker) - version < 0;
    for (let worker = 0; worker < startedWorkers; worker++) {
      if (worker !== workerIndex && isBehind(worker)) this.owner.wakeWorker(worker);
    }
    if (!this.owner.mayWait()) return;
    const endMs = monotonicMs() + FOLLOW_MS_MAX;
    for (let worker = 0; worker < startedWorkers; worker++) {
      while (worker !== workerIndex && isBehind(worker) && monotonicMs() < endMs)
        Atomics.wait(usersFollowed, worker, Atomics.load(usersFollowed, worker), 1);
    }
  }

  /** Changes the users, for all threads. Returns false, with nothing changed, if there is no room for them. */
  update(change: (users: Users) => void): boolean {
    const { users } = this.owner.state;
    const { all } = this;
    let isChanged = false;
    const hasRoom = users.update(
      ({ lines, isAll }) => {
        all.apply(lines, isAll);
        isChanged = true;
      },
      () => {
        change(all);
        const lines = all.takeChanges();
        if (lines !== null) isChanged = true;
        return lines;
      },
      () => all.serialize(),
    );
    if (!hasRoom) {
      // Returns to the users as all other threads know them.
      const news = users.readAgain();
      all.apply(news.lines, news.isAll);
    }
    if (!isChanged) return true;
    this.changed();
    this.awaitOthers(users.version);
    return hasRoom;
  }

  /**
   * The `user` lines that a configuration file needs: none if they are in a file of their own, or if there is only the
   * default user, as `requirepass` makes it.
   */
  configuredLines(): string[] {
    const { config } = this.owner;
    if (config.accessFile !== '') return [];
    const unconfigured = new Users(this.context);
    unconfigured.setDefaultPassword(config.requirePass);
    const lines = this.all.lines();
    return lines.join('\n') === unconfigured.lines().join('\n') ? [] : lines;
  }

  /** Gives a session of a new connection, or one that has said RESET, the default user. */
  begin(session: Session): void {
    session.isIdentified = this.all.default.needsNoAuthentication;
    this.assign(session, this.all.default);
  }

  /** Gives a session that has moved here the user that it had; false if there is none such any more. */
  resume(session: Session, userId: number): boolean {
    const user = this.all.withId(userId);
    if (user === undefined) return false;
    this.identify(session, user);
    return true;
  }

  /** Gives a session the user that its client's certificate names, if there is such a user and it is on. */
  beginWithCertificate(session: Session, name: string): void {
    const user = name === '' ? undefined : this.all.get(name);
    if (user?.isOn === true) this.identify(session, user);
  }

  private identify(session: Session, user: User): void {
    session.isIdentified = true;
    this.assign(session, user);
  }

  private assign(session: Session, user: User): void {
    session.user = user;
    session.isRestricted = !user.isUnrestricted;
    const [selector] = user.selectors;
    const isQuick = session.isRestricted && user.selectors.length === 1 && selector.databases === null;
    session.selector = isQuick ? selector : null;
    session.authenticated = session.isIdentified || this.all.default.needsNoAuthentication;
  }

  /** Brings a session up to date after its user may have changed. Closes its connection if the user was deleted. */
  private followUser(session: Session): void {
    const before = session.user;
    if (before === null) return;
    const user = this.all.withId(before.id);
    if (user === undefined) {
      session.isIdentified = false;
      this.assign(session, this.all.default);
      session.authenticated = false;
      this.owner.close(session);
      return;
    }
    this.assign(session, user);
    if (user !== before && session.subscribed !== null && !maySubscribe(session, before, user))
      this.owner.close(session);
  }

  /** Gives a session this user if the password, a byte string, is right. If not, the denial is logged. */
  authenticate(session: Session, name: string, password: string, command: string): boolean {
    const user = this.all.get(name);
    if (user?.accepts(password) !== true) {
      const context = session.queue === null ? DenialContext.TopLevel : DenialContext.Multi;
      this.log(session, 'auth', context, command, name);
      return false;
    }
    this.identify(session, user);
    return true;
  }

  /** Whether a session may run a command with this request. A refusal is neither counted nor logged. */
  allows({ user, database }: Session, command: Command, request: CommandRequest): boolean {
    return user === null || this.checker.check(user, command, request, database) === Refusal.None;
  }

  /** The same for a user. Also returns the argument that is the reason, 0 if none is. */
  try(
    user: User,
    command: Command,
    request: CommandRequest,
    database: number,
  ): [refusal: Refusal, argument: number] {
    return [this.checker.check(user, command, request, database), this.checker.argument];
  }

  /** Checks a command that a session wants to run, or to queue. A refusal is counted and logged. */
  check(session: Session, command: Command, request: CommandRequest): Refusal {
    if (!session.isRestricted) return Refusal.None;
    session.lastCommandId = command.id;
    if (session.queue === null) return this.checkAccess(session, command, request, DenialContext.TopLevel);
    return this.checkAccess(session, command, request, DenialContext.Multi, this.queueDatabase(session));
  }

  /** Checks a command that runs for a session within something larger. A refusal is counted and logged. */
  checkAccess(
    session: Session,
    command: Command,
    request: CommandRequest,
    context: DenialContext,
    database = session.database,
  ): Refusal {
    const { user, isRestricted } = session;
    if (user === null || !isRestricted) return Refusal.None;
    const refusal = this.checker.check(user, command, request, database);
    if (refusal === Refusal.None) return refusal;
    const { argument } = this.checker;
    let object = command.fullName;
    if (argument > 0) object = textOf(request, argument);
    else if (refusal === Refusal.Database && command.databaseRule !== DatabaseRule.All)
      object = String(database);
    this.log(session, REASONS[refusal], context, object, session.userName);
    return refusal;
  }

  /** The same for a client of any worker that has waited for keys. */
  checkWaiter(userId: number, command: Command, request: CommandRequest, database: number): Refusal {
    if (!this.hasRestricted || userId === 0) return Refusal.None;
    const user = this.all.withId(userId);
    // If the user was deleted, the client's connection is closed, or about to be.
    if (user === undefined) return Refusal.Command;
    return this.checker.check(user, command, request, database);
  }

  /** Whether a session may run a command that reads keys whose names come from the data (SORT BY, GET). */
  mayReadAllKeys(
    { user, isRestricted, database }: Session,
    command: Command,
    request: CommandRequest,
  ): boolean {
    if (user === null || !isRestricted) return true;
    return this.checker.mayReadAllKeys(user, command, request, database);
  }

  /** The database that will be selected when EXEC runs the command queued next: the last queued SELECT counts. */
  private queueDatabase({ queue, database, user }: Session): number {
    if (queue === null || user?.selectors.every(({ databases }) => databases === null)) return database;
    for (let index = queue.length - 1; index >= 0; index--) {
      const { command, request } = queue[index];
      if (command.databaseRule !== DatabaseRule.Select) continue;
      const text = textOf(request, 1);
      if (/^\d{1,9}$/.test(text) && Number(text) < this.owner.config.databases) return Number(text);
    }
    return database;
  }

  private log(session: Session, reason: string, context: DenialContext, object: string, user: string): void {
    const { state, config, clientRows } = this.owner;
    const counter = COUNTERS[reason];
    if (counter !== undefined) state.counters.server[counter]++;
    const nowMs = Date.now();
    clientRows.publish(session, 0, 0);
    const line =
      session.clientSlot < 0
        ? ''
        : state.clients.formatLine(session.clientSlot, monotonicMs(), (id) => this.table.byId(id).fullName);
    const client = Buffer.from(line, 'utf8').toString('latin1');
    const denial: Denial = { reason, context, object, user, client };
    state.accessLog.add(denial, nowMs, config.accessLogMaxLength);
  }
}

/** Whether a session may keep all its subscriptions now that its user has changed from `before` to `after`. */
function maySubscribe({ subscribed }: Session, before: User, after: User): boolean {
  const left = channelsLeft(before, after);
  if (left === null || subscribed === null) return true;
  return subscribed.names.every((names, kind) =>
    [...names].every((name) => {
      const bytes = Buffer.from(name, 'latin1');
      return allowsChannel(left, kind === ChannelKind.Pattern, bytes, 0, bytes.length);
    }),
  );
}

/** The error reply to a command that is denied, without "-". */
export function refusalError(refusal: Refusal, { fullName }: Command): string {
  switch (refusal) {
    case Refusal.Command:
      return `NOPERM this user has no permissions to run the '${fullName}' command`;
    case Refusal.Key:
      return 'NOPERM this user has no permissions to access one of the keys used as arguments';
    case Refusal.Channel:
      return 'NOPERM this user has no permissions to access one of the channels used as arguments';
    default:
      return 'NOPERM No permissions to access database';
  }
}

/** The same for a command of a transaction, which was allowed when it was queued. */
export function refusalErrorInExec(refusal: Refusal): string {
  const reasons: Readonly<Record<number, string>> = {
    [Refusal.Command]: 'no permission to execute the command or subcommand',
    [Refusal.Key]: 'no permission to touch the specified keys',
    [Refusal.Channel]: 'no permission to access one of the channels used as arguments',
  };
  return (
    'NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. ' +
    `This command is no longer allowed for the following reason: ${reasons[refusal] ?? 'no permission'}`
  );
}

/** The same for a command of a script. */
export function refusalErrorInScript(refusal: Refusal): string {
  const reasons: Readonly<Record<number, string>> = {
    [Refusal.Command]: "can't run this command or subcommand",
    [Refusal.Key]: "can't access at least one of the keys mentioned in the command arguments",
    [Refusal.Channel]: "can't publish to the channel mentioned in the command",
  };
  return `ERR The user executing the script ${reasons[refusal] ?? 'lacking the permissions for the command'}`;
}
