-- All that rowtwin knows lives here. People use the views and functions of the schema rowtwin;
-- the tables of rowtwin_private belong to the process alone and may change between versions.

create table rowtwin_private.system (
  name            text primary key,
  connector       text not null,
  state           text not null default 'running' check (state in ('running', 'paused', 'held')),
  held_reason     text,
  identity        text,
  failures        integer not null default 0 check (failures >= 0),
  down_since      timestamptz,
  probe_at        timestamptz,
  throttled_until timestamptz,
  next_call_at    timestamptz not null default '-infinity',
  per_second      double precision check (per_second > 0),
  in_flight       integer check (in_flight > 0),
  per_day         bigint check (per_day > 0),
  reserve         double precision not null default 0.2 check (reserve >= 0 and reserve < 1),
  day_zone        text not null default 'UTC',
  used_reported   bigint,
  used_reported_at timestamptz,
  changed_at      timestamptz not null default now(),
  check ((state = 'held') = (held_reason is not null)),
  check ((down_since is null) = (probe_at is null))
);
comment on table rowtwin_private.system is 'One remote account: its state, its limits and where it stands within them.';
comment on column rowtwin_private.system.identity is 'Who the remote said it is (tenant, organisation, data centre) at the first sign-in; another one behind the same address stops the system.';
comment on column rowtwin_private.system.failures is 'Calls in a row that failed for reasons of the system, not of a record. Three take it down.';
comment on column rowtwin_private.system.down_since is 'Since when the system does not answer. While it is down a single probe goes out from time to time.';
comment on column rowtwin_private.system.next_call_at is 'When the next call fits into per_second (generic cell rate).';
comment on column rowtwin_private.system.reserve is 'Share of per_day that backfills must leave for people''s edits.';
comment on column rowtwin_private.system.day_zone is 'The time zone in which the system counts its days, and so ours.';
comment on column rowtwin_private.system.used_reported is 'Calls of today as the system itself reports them; believed when it is more than we counted.';

create unlogged table rowtwin_private.call (
  id        bigint generated always as identity primary key,
  system    text not null,
  operation text not null,
  deadline  timestamptz not null
);
create index call_system on rowtwin_private.call (system, deadline);
comment on table rowtwin_private.call is 'Calls in flight, of all processes. A call past its deadline no longer counts: its process is gone.';

create table rowtwin_private.binding (
  id             integer generated always as identity primary key,
  name           text not null unique,
  table_name     text not null,
  system         text not null references rowtwin_private.system (name),
  object         text not null,
  mapping        jsonb not null,
  pushes         boolean not null,
  pulls          boolean not null,
  settle_after   interval not null default '0',
  active         boolean not null default true,
  state          text not null default 'running' check (state in ('running', 'paused', 'held')),
  held_reason    text,
  since_ms       bigint,
  walk           jsonb,
  backfilled_at  timestamptz,
  backfill_seen  bigint not null default 0,
  first_push_at  timestamptz,
  last_poll_at   timestamptz,
  next_poll_at   timestamptz not null default '-infinity',
  next_sweep_at  timestamptz,
  next_overlap_at timestamptz not null default '-infinity',
  lease          uuid,
  lease_until    timestamptz,
  failures       integer not null default 0,
  last_error     text,
  created_at     timestamptz not null default now(),
  unique (table_name, system, object),
  check ((state = 'held') = (held_reason is not null)),
  check ((lease is null) = (lease_until is null))
);
comment on table rowtwin_private.binding is 'One table tied to one object of one system.';
comment on column rowtwin_private.binding.mapping is 'The binding as last loaded from the configuration; the file is the truth, this is for people.';
comment on column rowtwin_private.binding.active is 'False when the configuration no longer names it; its links stay, so that naming it again goes on where it stopped.';
comment on column rowtwin_private.binding.since_ms is 'The pull cursor: the last-modified stamp, in ms of the remote''s clock, up to which everything has been applied.';
comment on column rowtwin_private.binding.next_overlap_at is 'When the next poll reaches back over the whole overlap, for records that the remote committed late; the polls between reach back only a little.';
comment on column rowtwin_private.binding.walk is 'The walk over the remote''s pages that is under way (kind, page, what was seen), so that it resumes where it stopped.';
comment on column rowtwin_private.binding.first_push_at is 'When every row of the table had been marked for its first comparison with the remote.';

create table rowtwin_private.link (
  binding_id   integer not null references rowtwin_private.binding (id),
  key          text not null,
  state        text not null check (state in ('creating', 'linked', 'kept')),
  remote_id    text,
  shadow       jsonb,
  version      text,
  remote_ms    bigint,
  reference    text,
  attempt      uuid,
  attempted_at timestamptz,
  intent       jsonb,
  revision     bigint not null default 1,
  settled_at   timestamptz not null default now(),
  seen_walk    bigint,
  primary key (binding_id, key),
  check (state = 'creating' or remote_id is not null),
  check ((state = 'creating') = (attempt is not null))
) with (fillfactor = 80);
create index link_creating on rowtwin_private.link (binding_id) where state = 'creating';
create unique index link_remote on rowtwin_private.link (binding_id, remote_id) where remote_id is not null;
comment on table rowtwin_private.link is 'A row and its twin: local key, remote id, and the shadow, that is the mapped fields of the record as both sides last knew it.';
comment on column rowtwin_private.link.state is 'creating: a create was about to be sent and its answer is not known; linked; kept: one side deleted its half and the policy keeps the other.';
comment on column rowtwin_private.link.shadow is 'The mapped fields in the remote''s own names and forms. Null while it is not known yet (first sync).';
comment on column rowtwin_private.link.attempt is 'The attempt id of a create, committed before the call and planted in the record where the system has a field for it.';
comment on column rowtwin_private.link.revision is 'Counts every change of this link; a delivery that looked at an older revision looks again.';
comment on column rowtwin_private.link.settled_at is 'When the link last changed; a record that was read before that is stale and not applied.';

create table rowtwin_private.outbox (
  binding_id  integer not null references rowtwin_private.binding (id),
  key         text not null,
  state       text not null default 'ready' check (state in ('ready', 'sending', 'held', 'rejected', 'doubtful')),
  generation  bigint not null default 1,
  claimed     bigint,
  position    pg_lsn not null default '0/0',
  changed_at  timestamptz not null default now(),
  since       timestamptz not null default now(),
  actor       text,
  row_gone    boolean,
  attempts    integer not null default 0 check (attempts >= 0),
  not_before  timestamptz not null default '-infinity',
  lease       uuid,
  lease_until timestamptz,
  field       text,
  reason      text,
  primary key (binding_id, key),
  check ((state = 'sending') = (lease is not null)),
  check ((lease is null) = (lease_until is null)),
  check (state not in ('held', 'rejected', 'doubtful') or reason is not null)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index outbox_ready on rowtwin_private.outbox (binding_id, not_before, since) where state = 'ready';
create index outbox_sending on rowtwin_private.outbox (lease_until) where state = 'sending';
comment on table rowtwin_private.outbox is 'Keys of rows that may differ from their shadow. What to do is decided when a key is looked at, so any number of marks cost one look.';
comment on column rowtwin_private.outbox.generation is 'Raised by every mark. A delivery removes the entry only if the generation is still the one it claimed.';
comment on column rowtwin_private.outbox.position is 'The WAL position of the last change that marked the key.';
comment on column rowtwin_private.outbox.since is 'When the oldest change that is still waiting was made.';
comment on column rowtwin_private.outbox.row_gone is 'Capture saw this row''s own delete. A row that is missing without it was truncated or has another key, and capture has not come to that yet: nothing is deleted in the remote.';
comment on column rowtwin_private.outbox.lease is 'Which turn of which process is sending it; in at most one at a time.';

create table rowtwin_private.inbox (
  binding_id integer not null references rowtwin_private.binding (id),
  remote_id  text not null,
  why        text not null,
  state      text not null default 'ready' check (state in ('ready', 'rejected')),
  attempts   integer not null default 0 check (attempts >= 0),
  since      timestamptz not null default now(),
  not_before timestamptz not null default '-infinity',
  reason     text,
  primary key (binding_id, remote_id),
  check (state <> 'rejected' or reason is not null)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index inbox_ready on rowtwin_private.inbox (binding_id, not_before) where state = 'ready';
comment on table rowtwin_private.inbox is 'Ids of remote records to read again: named by a webhook, skipped while their row was in flight or locked, missing from a sweep, or failed.';

create table rowtwin_private.conflict (
  id          bigint generated always as identity primary key,
  binding_id  integer not null references rowtwin_private.binding (id),
  key         text not null,
  remote_id   text,
  field       text not null,
  shadow      jsonb,
  row_value   jsonb,
  record_value jsonb,
  winner      text not null check (winner in ('row', 'record', 'held')),
  policy      text not null,
  decided_at  timestamptz not null default now(),
  resolved_at timestamptz,
  resolved_by text,
  check (winner <> 'held' or resolved_at is null or resolved_by is not null)
);
create index conflict_key on rowtwin_private.conflict (binding_id, key);
create unique index conflict_held on rowtwin_private.conflict (binding_id, key, field) where winner = 'held' and resolved_at is null;
comment on table rowtwin_private.conflict is 'Fields that both sides changed to different values, with all three values and who won.';

create table rowtwin_private.journal (
  id         bigint generated always as identity,
  at         timestamptz not null default now(),
  binding_id integer not null,
  key        text,
  remote_id  text,
  side       text not null check (side in ('remote', 'row', 'link')),
  effect     text not null check (effect in ('create', 'update', 'delete', 'deactivate', 'link', 'unlink', 'reject')),
  before     jsonb,
  after      jsonb,
  actor      text,
  attempt    uuid,
  reason     text,
  primary key (at, id)
) partition by range (at);
create table rowtwin_private.journal_other partition of rowtwin_private.journal default;
create index journal_key on rowtwin_private.journal (binding_id, key, at);
comment on table rowtwin_private.journal is 'One line for every effect: what was written where, the fields before and after, on whose behalf. Partitioned by day.';
comment on column rowtwin_private.journal.side is 'Where the effect happened: the remote record, the mirror row, or only the link between them.';

create table rowtwin_private.usage (
  system   text not null,
  hour     timestamptz not null,
  changes  bigint not null default 0,
  calls    bigint not null default 0,
  writes   bigint not null default 0,
  records  bigint not null default 0,
  errors   bigint not null default 0,
  millis   bigint not null default 0,
  primary key (system, hour)
) with (fillfactor = 50);
comment on table rowtwin_private.usage is 'Per system and hour: row changes captured, calls made, records written by them, errors, time spent.';

create table rowtwin_private.capture (
  slot              text primary key,
  publication       text not null,
  confirmed         pg_lsn not null default '0/0',
  system_identifier text,
  timeline          integer,
  changes           bigint not null default 0,
  last_at           timestamptz
);
comment on table rowtwin_private.capture is 'How far the outbox has taken the WAL in. Written in the same transaction as the marks.';
