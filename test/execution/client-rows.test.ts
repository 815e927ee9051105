/** What a connection takes along when it moves to another worker. */

import t from 'tap';
import { ClientRows } from '../../src/execution/client-rows.js';
import { NO_CONNECTION } from '../../src/execution/no-connection.js';
import { type ReplicaTraits, ReplyMode, Session } from '../../src/execution/session.js';
import { Attention } from '../../src/memory/attention.js';
import { ClientTable } from '../../src/state/client-table.js';

type Field = Exclude<keyof Session, 'isMovable'>;

/** What the row keeps. */
const KEPT: Partial<Record<Field, unknown>> = {
  id: 7,
  createdMs: 1000,
  database: 5,
  protocol: 3,
  name: 'client',
  libraryName: 'library',
  libraryVersion: '1.2',
  noEvict: true,
  noTouch: true,
  writtenUntil: 123_456_789_012,
  lastCommandId: 3,
  lastInteractionMs: 2000,
};

/** What keeps a connection where it is. */
const BINDING: Partial<Record<Field, unknown>> = {
  authenticated: false,
  isIdentified: false,
  replyMode: ReplyMode.Off,
  isMonitor: true,
  isReplica: true,
  replicaTraits: {} as ReplicaTraits,
  closing: true,
  clientSlot: -1,
  subscribed: {},
  tracking: {},
  postponed: {},
  queue: [],
  watched: [{}],
};

/** What comes from elsewhere, belongs to a field above, or is never so for a connection that might move. */
const OTHER: readonly Field[] = [
  'connection',
  'user',
  'isRestricted',
  'selector',
  'isPrimary',
  'handover',
  'postponedWork',
  'isWaiting',
  'queuedBytes',
  'transactionFailed',
  'watchedBytes',
];

function openSession(table: ClientTable): Session {
  const session = new Session(7, NO_CONNECTION, 1000);
  new ClientRows(table, 0).open(session);
  return session;
}

t.test('all that a session has moves with its connection, or binds it to its worker', async (t) => {
  const table = new ClientTable(ClientTable.create(Attention.create(4), 16));
  const session = openSession(table);
  t.same(
    Object.keys(session).filter(
      (field) => !(field in KEPT) && !(field in BINDING) && !OTHER.includes(field as Field),
    ),
    [],
    'each field is in one of the lists',
  );
  t.ok(session.isMovable);
  Object.assign(session, KEPT);
  t.ok(session.isMovable);
  const rows = new ClientRows(table, 0);
  rows.publish(session, 0, 0);
  const slot = rows.leave(session, 1);
  const moved = new ClientRows(table, 1).join(slot, NO_CONNECTION);
  for (const [field, value] of Object.entries(KEPT)) t.equal(moved[field as Field], value, field);
  for (const [field, value] of Object.entries(BINDING)) {
    const bound = openSession(table);
    Object.assign(bound, { [field]: value });
    t.notOk(bound.isMovable, field);
  }
});

t.test('a session whose names the row can not hold stays', async (t) => {
  const table = new ClientTable(ClientTable.create(Attention.create(4), 16));
  for (const field of ['name', 'libraryName', 'libraryVersion'] as const) {
    const session = openSession(table);
    session[field] = 'é'.repeat(200);
    t.notOk(session.isMovable, field);
  }
});
