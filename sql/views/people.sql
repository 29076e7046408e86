-- What people read. Stable names; everything else about the state may change.

create or replace view rowtwin.status as
select b.table_name, b.system, b.object,
       case when not b.active then 'not configured'
            when s.state <> 'running' then 'system ' || s.state
            when b.state <> 'running' then b.state
            when s.down_since is not null then 'system down'
            when b.pulls and b.backfilled_at is null then 'backfilling'
            else 'running' end as state,
       (select count(*) from rowtwin_private.link l where l.binding_id = b.id and l.state = 'linked') as linked,
       o.waiting, o.rejected, o.doubtful, o.held,
       i.waiting as to_read, i.rejected as unreadable,
       (select count(*) from rowtwin_private.conflict c where c.binding_id = b.id and c.winner = 'held' and c.resolved_at is null) as conflicts_open,
       (select count(*) from rowtwin_private.conflict c where c.binding_id = b.id) as conflicts,
       o.oldest as waiting_since,
       b.last_poll_at, b.backfilled_at,
       coalesce(b.held_reason, s.held_reason, b.last_error) as reason
from rowtwin_private.binding b
join rowtwin_private.system s on s.name = b.system
cross join lateral (
  select count(*) filter (where x.state in ('ready', 'sending', 'waiting')) as waiting,
         count(*) filter (where x.state = 'rejected') as rejected,
         count(*) filter (where x.state = 'doubtful') as doubtful,
         count(*) filter (where x.state = 'held') as held,
         min(x.since) filter (where x.state in ('ready', 'sending', 'waiting')) as oldest
  from rowtwin_private.outbox x where x.binding_id = b.id) o
cross join lateral (
  select count(*) filter (where x.state in ('ready', 'waiting')) as waiting,
         count(*) filter (where x.state in ('rejected', 'held')) as rejected
  from rowtwin_private.inbox x where x.binding_id = b.id) i
order by b.table_name, b.system, b.object;
comment on view rowtwin.status is 'One line per binding: how many rows are linked, waiting, rejected, in conflict, and since when.';

create or replace view rowtwin.systems as
select s.name, s.connector, s.state, s.held_reason, s.identity, s.down_since,
       case when s.down_since is not null then s.probe_at end as next_probe_at,
       s.throttled_until, s.per_second, s.in_flight, s.per_day,
       coalesce(u.calls, 0) as calls_today, coalesce(u.changes, 0) as changes_today,
       -- what still waits has not saved a call yet
       greatest(coalesce(u.changes, 0) - coalesce(u.writes, 0) - w.waiting, 0) as calls_saved_today,
       coalesce(u.errors, 0) as errors_today,
       -- what the system itself reports of its day is believed when it is more
       greatest(coalesce(u.calls, 0), case when s.used_reported_at >= u.day then s.used_reported end) as budget_used,
       coalesce(u.cost, 0) as cost_today,
       case when s.used_reported_at >= u.day then s.used_reported end as calls_reported_today,
       s.reserve, s.price
from rowtwin_private.system s
left join lateral (
  select sum(x.calls) as calls, sum(x.writes) as writes, sum(x.changes) as changes, sum(x.errors) as errors,
         sum(x.cost) as cost,
         date_trunc('day', now() at time zone s.day_zone) at time zone s.day_zone as day
  from rowtwin_private.usage x
  where x.system = s.name and x.hour >= date_trunc('day', now() at time zone s.day_zone) at time zone s.day_zone) u on true
cross join lateral (
  select count(*) as waiting from rowtwin_private.outbox x join rowtwin_private.binding b on b.id = x.binding_id
  where b.system = s.name) w
order by s.name;
comment on view rowtwin.systems is 'One line per remote system: whether it answers, its limits, and what it cost today.';

create or replace view rowtwin.outbox as
select b.table_name, b.system, b.object, o.key, o.state, o.since, o.changed_at, o.attempts,
       nullif(o.not_before, '-infinity') as not_before, o.field,
       case when o.state = 'waiting'
            then 'waits for ' || w.table_name || ' ' || o.waits_key
                 || case when p.state in ('rejected', 'held', 'doubtful', 'waiting') then ': ' || p.state || coalesce(', ' || p.reason, '') else '' end
            else o.reason end as reason,
       o.actor, l.remote_id, o.step
from rowtwin_private.outbox o
join rowtwin_private.binding b on b.id = o.binding_id
left join rowtwin_private.binding w on w.id = o.waits_binding
left join rowtwin_private.outbox p on p.binding_id = o.waits_binding and p.key = o.waits_key
left join rowtwin_private.link l on l.binding_id = o.binding_id and l.key = o.key;
comment on view rowtwin.outbox is 'Rows on their way to a system, with what keeps them; a row that waits for another one shows what keeps that one.';

create or replace view rowtwin.rejected as
select table_name, system, object, key, field, reason, attempts, since, changed_at from rowtwin.outbox where state = 'rejected';
comment on view rowtwin.rejected is 'Rows that a system, or a check before it, refused. Edit the row and it goes again by itself; or rowtwin.retry, rowtwin.discard.';

create or replace view rowtwin.unfinished as
select b.table_name, b.system, b.object, o.key, l.remote_id, l.stage, o.step, o.since, o.state, o.attempts, o.reason
from rowtwin_private.outbox o
join rowtwin_private.binding b on b.id = o.binding_id
left join rowtwin_private.link l on l.binding_id = o.binding_id and l.key = o.key
where o.step is not null;
comment on view rowtwin.unfinished is 'Records that we have saved or taken back and that are not where they should end: where each stands, which step comes next, since when, and what keeps it.';

create or replace view rowtwin.doubtful as
select o.table_name, o.system, o.object, o.key, l.attempt, l.attempted_at, o.reason, o.attempts
from rowtwin.outbox o
join rowtwin_private.binding b on b.table_name = o.table_name and b.system = o.system and b.object = o.object
join rowtwin_private.link l on l.binding_id = b.id and l.key = o.key
where o.state = 'doubtful';
comment on view rowtwin.doubtful is 'Creates whose answer was lost and that cannot be looked up. rowtwin.resolve_doubt says what became of them.';

create or replace view rowtwin.inbox as
select b.table_name, b.system, b.object, i.remote_id, i.why, i.state, i.since, i.attempts,
       nullif(i.not_before, '-infinity') as not_before,
       case when i.state = 'waiting'
            then i.reason || ' (' || w.object || ' ' || i.waits_value || ')' || coalesce(': ' || p.reason, '')
            else i.reason end as reason,
       l.key
from rowtwin_private.inbox i
join rowtwin_private.binding b on b.id = i.binding_id
left join rowtwin_private.binding w on w.id = i.waits_binding
left join rowtwin_private.inbox p on p.binding_id = i.waits_binding and p.remote_id = i.waits_value and p.state = 'rejected'
left join rowtwin_private.link l on l.binding_id = i.binding_id and l.remote_id = i.remote_id;
comment on view rowtwin.inbox is 'Remote records that are to be read again, and those that could not be applied, with the reason.';

create or replace view rowtwin.conflicts as
select c.id, b.table_name, b.system, b.object, c.key, c.remote_id, c.field,
       c.shadow as was, c.row_value, c.record_value, c.winner, c.policy, c.decided_at, c.resolved_at, c.resolved_by,
       c.unit, c.chosen
from rowtwin_private.conflict c
join rowtwin_private.binding b on b.id = c.binding_id;
comment on view rowtwin.conflicts is 'Fields that both sides changed, with what it was, both values and who won. The value that lost is kept here.';

create or replace view rowtwin.links as
select b.table_name, b.system, b.object, l.key, l.remote_id, l.state, l.shadow, l.version, l.settled_at, l.stage
from rowtwin_private.link l
join rowtwin_private.binding b on b.id = l.binding_id;
comment on view rowtwin.links is 'Which row is the twin of which record, and the record as both sides last knew it.';

create or replace view rowtwin.journal as
select j.id, j.at, b.table_name, b.system, b.object, j.key, j.remote_id, j.side, j.effect, j.before, j.after, j.actor, j.reason
from rowtwin_private.journal j
join rowtwin_private.binding b on b.id = j.binding_id;
comment on view rowtwin.journal is 'What was written where, with the fields before and after, and on whose behalf.';

create or replace view rowtwin.usage as
select system, hour, changes, calls, writes, records, errors, millis, greatest(changes - writes, 0) as calls_saved,
       nullif(object, '') as object, direction, cost
from rowtwin_private.usage;
comment on view rowtwin.usage is 'Per system, hour, object and direction: row changes captured, calls made, and how many calls coalescing and batching saved.';

create or replace view rowtwin.costs as
select d.day, t.tables as table_name, d.system, nullif(d.object, '') as object, d.direction,
       d.changes, d.calls, d.records, d.errors, d.cost,
       case when d.direction = 'push' then greatest(d.changes - d.records - w.waiting, 0) else 0 end as saved_by_coalescing,
       case when d.direction = 'push' then greatest(d.records - d.writes, 0) else 0 end as saved_by_batching
from (
  select u.system, u.object, u.direction, (u.hour at time zone s.day_zone)::date as day,
         (u.hour at time zone s.day_zone)::date = (now() at time zone s.day_zone)::date as is_today,
         sum(u.changes)::bigint as changes, sum(u.calls)::bigint as calls, sum(u.writes)::bigint as writes,
         sum(u.records)::bigint as records, sum(u.errors)::bigint as errors, sum(u.cost) as cost
  from rowtwin_private.usage u join rowtwin_private.system s on s.name = u.system
  group by u.system, u.object, u.direction, day, is_today) d
left join lateral (
  select string_agg(b.table_name, ', ' order by b.table_name) as tables
  from rowtwin_private.binding b where b.system = d.system and b.object = d.object) t on true
cross join lateral (
  -- what still waits has not saved a call yet
  select count(*) as waiting from rowtwin_private.outbox o join rowtwin_private.binding b on b.id = o.binding_id
  where d.is_today and b.system = d.system and b.object = d.object) w;
comment on view rowtwin.costs is 'Per day (of the system''s own zone), table and direction: calls, their cost, records, errors, and the calls that were saved: by coalescing, since many edits of a row need one record to be written or none, and by batching, since a call writes many records.';

create or replace view rowtwin.slot as
select c.slot, c.publication,
       case when s.slot_name is null then 'missing'
            when s.wal_status = 'lost' then 'lost'
            when s.active then 'streaming' else 'idle' end as state,
       s.wal_status,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint as retained_bytes,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn)::bigint as lag_bytes,
       s.confirmed_flush_lsn as confirmed, s.safe_wal_size, c.changes, c.last_at,
       case when s.active then coalesce(extract(epoch from r.flush_lag), 0)
            when s.slot_name is not null
            -- from Postgres 17 on the server says since when nobody reads
            then extract(epoch from clock_timestamp() - coalesce((to_jsonb(s) ->> 'inactive_since')::timestamptz, c.last_at))
            end::bigint as lag_seconds,
       r.backend_start as active_since,
       c.warn_bytes, c.budget_bytes,
       coalesce((to_jsonb(s) ->> 'failover')::boolean, false) as failover,
       to_jsonb(s) ->> 'invalidation_reason' as invalidation_reason,
       c.anchor, c.renewed_at, c.renewals,
       coalesce(c.restored_reason, c.lost_reason) as reason
from rowtwin_private.capture c
left join pg_replication_slots s on s.slot_name = c.slot
left join pg_stat_replication r on r.pid = s.active_pid;
comment on view rowtwin.slot is 'The replication slot: whether somebody streams from it, how much WAL it retains and may retain, how far behind it is, and when it was made anew.';
comment on column rowtwin.slot.lag_seconds is 'While somebody streams: how long the last confirmation took. Else: since when nobody reads; before Postgres 17 since the last captured change.';
comment on column rowtwin.slot.safe_wal_size is 'How much more WAL may be written before the server takes the slot away (max_slot_wal_keep_size); null without that limit.';
comment on column rowtwin.slot.anchor is 'Where the present slot began.';
comment on column rowtwin.slot.reason is 'Why capture waits, or why the slot is being made anew.';

create or replace view rowtwin.recovery as
select b.table_name, b.system, b.object,
       case c.phase when 'rows' then 'comparing rows' when 'links' then 'comparing links' else 'done' end as state,
       c.seen, greatest(c.expected, c.seen) as expected, c.found as differing,
       case when c.finished_at is not null then 100
            else least(99, c.seen * 100 / greatest(c.expected, 1)) end::integer as percent,
       c.reason, c.began_at, c.finished_at, c.last_error
from rowtwin_private.comparison c
join rowtwin_private.binding b on b.id = c.binding_id
where c.purpose = 'recovery'
order by b.table_name, b.system, b.object;
comment on view rowtwin.recovery is 'The comparison of rows with their shadows after the slot was made anew: how far it is, and how many rows differed.';

create or replace view rowtwin.verification as
select b.table_name, b.system, b.object,
       case c.phase when 'links' then 'comparing twins' when 'rows' then 'looking for rows without a twin'
                    when 'records' then 'looking for records without a twin' else 'done' end as state,
       c.seen, greatest(c.expected, c.seen) as expected, c.found as differing, c.repair,
       c.reason, c.began_at, c.finished_at, c.last_error
from rowtwin_private.comparison c
join rowtwin_private.binding b on b.id = c.binding_id
where c.purpose = 'verification'
order by b.table_name, b.system, b.object;
comment on view rowtwin.verification is 'The last verification of each binding: how far it is, and how many differences it found; rowtwin.drift lists them.';

create or replace view rowtwin.drift as
select d.id, b.table_name, b.system, b.object, d.kind, d.key, d.remote_id, d.fields,
       d.shadow, d.row_value, d.record_value, d.found_at, d.repair
from rowtwin_private.drift d
join rowtwin_private.binding b on b.id = d.binding_id;
comment on view rowtwin.drift is 'Where row, shadow and record differ, as the last verification found it, with the values of the fields that differ.';

create or replace view rowtwin.lag as
select b.table_name, b.system, b.object,
       (select count(*) from rowtwin_private.outbox o where o.binding_id = b.id and o.state in ('ready', 'sending', 'waiting')) as to_remote,
       (select extract(epoch from clock_timestamp() - min(o.since))::bigint from rowtwin_private.outbox o where o.binding_id = b.id and o.state in ('ready', 'sending', 'waiting')) as oldest_seconds,
       extract(epoch from clock_timestamp() - b.last_poll_at)::bigint as poll_age_seconds
from rowtwin_private.binding b where b.active;
comment on view rowtwin.lag is 'How far each side is behind: rows waiting for a remote, and how old the last complete poll is, in seconds.';

create or replace view rowtwin.freshness as
select b.table_name, min(b.last_poll_at) filter (where b.pulls) as remote_edits_seen_until,
       bool_and(b.backfilled_at is not null or not b.pulls) as complete
from rowtwin_private.binding b where b.active
group by b.table_name;
comment on view rowtwin.freshness is 'Per table: up to when remote edits are in it, and whether the first reading of every system is complete.';
