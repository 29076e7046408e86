-- A lost slot, a restored database, and comparisons of rows, shadows and records.

alter table rowtwin_private.capture
  add column holder          uuid,
  add column horizon         pg_lsn,
  add column anchor          pg_lsn,
  add column lost_reason     text,
  add column renewed_at      timestamptz,
  add column renewals        bigint not null default 0,
  add column restored_reason text,
  add column warn_bytes      bigint check (warn_bytes > 0),
  add column budget_bytes    bigint check (budget_bytes > 0);
comment on column rowtwin_private.capture.holder is 'The stream that captures. One that was frozen and wakes up after another took over finds another holder and writes nothing.';
comment on column rowtwin_private.capture.horizon is 'Capture confirms nothing to the slot beyond this without raising it first; a slot that stands further on was moved or made by somebody else, and changes were skipped.';
comment on column rowtwin_private.capture.anchor is 'Where the present slot began: what was committed before is found by comparison, what came later is in the stream.';
comment on column rowtwin_private.capture.lost_reason is 'Why the slot is being given up. Set before it is dropped and cleared when the comparison has been ordered, so that a crash in between goes on.';
comment on column rowtwin_private.capture.restored_reason is 'Why the database counts as restored to an earlier point. No call is made until rowtwin.accept_restored says which side to trust.';
comment on column rowtwin_private.capture.system_identifier is 'The server''s own number; a physical copy keeps it, another server has another.';
comment on column rowtwin_private.capture.timeline is 'The server''s timeline; a promotion or a recovery begins a new one.';

-- of no use after a crash, and written every two seconds
create unlogged table rowtwin_private.capturing (
  slot     text primary key,
  holder   uuid not null,
  pid      integer not null,
  alive_at timestamptz not null
) with (fillfactor = 50);
comment on table rowtwin_private.capturing is 'The last sign of life of the process that captures. A frozen process keeps its connection, and with it the slot; this tells it from a busy one.';
comment on column rowtwin_private.capturing.pid is 'The server process that streams to it.';

create sequence rowtwin_private.comparison_number;
create table rowtwin_private.comparison (
  binding_id  integer not null references rowtwin_private.binding (id),
  purpose     text not null check (purpose in ('recovery', 'verification')),
  number      bigint not null default nextval('rowtwin_private.comparison_number'),
  reason      text not null,
  repair      text check (repair in ('row', 'record', 'merge')),
  fences      boolean not null default false,
  phase       text not null check (phase in ('rows', 'links', 'records', 'done')),
  place       text,
  page        jsonb,
  barrier     xid8,
  expected    bigint not null default 0,
  seen        bigint not null default 0,
  found       bigint not null default 0,
  began_at    timestamptz not null default now(),
  finished_at timestamptz,
  not_before  timestamptz not null default '-infinity',
  last_error  text,
  lease       uuid,
  lease_until timestamptz,
  primary key (binding_id, purpose),
  check ((phase = 'done') = (finished_at is not null)),
  check ((lease is null) = (lease_until is null)),
  check (purpose = 'verification' or (repair is null and not fences))
) with (fillfactor = 50);
comment on table rowtwin_private.comparison is 'The comparison of a binding that is under way, or its last one. A recovery compares rows with shadows after the slot was lost; a verification compares records too.';
comment on column rowtwin_private.comparison.number is 'Which comparison it is; one that begins anew has another, and whoever worked on the old one notices.';
comment on column rowtwin_private.comparison.fences is 'Nothing is pulled until this verification is through: the rows are trusted, and a poll would overwrite them.';
comment on column rowtwin_private.comparison.place is 'The last key of the phase that is done with; a crash goes on behind it.';
comment on column rowtwin_private.comparison.barrier is 'Transactions before this one must have ended before rows are compared: what they change is not in the new slot''s stream.';
comment on column rowtwin_private.comparison.expected is 'Rows and links to be seen, estimated; for the progress bar.';

create table rowtwin_private.drift (
  id           bigint generated always as identity primary key,
  binding_id   integer not null references rowtwin_private.binding (id),
  number       bigint not null,
  kind         text not null check (kind in ('row differs', 'record differs', 'both differ', 'missing row', 'missing record', 'unlinked row', 'unlinked record')),
  key          text,
  remote_id    text,
  fields       text[] not null default '{}',
  shadow       jsonb,
  row_value    jsonb,
  record_value jsonb,
  found_at     timestamptz not null default now(),
  repair       text
);
create index drift_binding on rowtwin_private.drift (binding_id, number);
comment on table rowtwin_private.drift is 'Differences that the last verification of a binding has found, with the values of the fields that differ. Keys that were on their way then are left out.';
