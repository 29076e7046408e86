-- The functions and views of the first version as they were released, in the order in which they were applied.
-- The clock of all state machines. Tests set rowtwin.now to move it; production never does.
create or replace function rowtwin_private.clock() returns timestamptz
language sql volatile
set search_path = pg_catalog
as $$ select coalesce(nullif(current_setting('rowtwin.now', true), '')::timestamptz, clock_timestamp()) $$;
comment on function rowtwin_private.clock() is
  'The time by which leases, back-offs and limits are judged: the database''s clock, or the session setting rowtwin.now where a test sets it.';
-- The outbox: mark, claim, begin to send, settle. The only writers of the tables outbox and link on the way out.

create or replace function rowtwin_private.mark_rows(
  p_bindings integer[], p_keys text[], p_positions pg_lsn[], p_changed_at timestamptz[], p_actors text[], p_gone boolean[]
) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  with marked as (
    insert into rowtwin_private.outbox as o (binding_id, key, position, changed_at, since, actor, row_gone, not_before)
    select m.binding_id, m.key, m.position, m.changed_at, m.changed_at, m.actor, m.gone, m.changed_at + b.settle_after
    from unnest(p_bindings, p_keys, p_positions, p_changed_at, p_actors, p_gone)
           as m (binding_id, key, position, changed_at, actor, gone)
    join rowtwin_private.binding b on b.id = m.binding_id
    order by m.binding_id, m.key
    on conflict (binding_id, key) do update set
      generation = o.generation + 1,
      position   = greatest(o.position, excluded.position),
      changed_at = greatest(o.changed_at, excluded.changed_at),
      actor      = coalesce(excluded.actor, o.actor),
      -- marks that capture did not make say nothing about the row
      row_gone   = coalesce(excluded.row_gone, o.row_gone),
      -- an edit may be the mend of what was rejected, so it is looked at again
      state      = case when o.state = 'rejected' then 'ready' else o.state end,
      attempts   = case when o.state = 'rejected' then 0 else o.attempts end,
      reason     = case when o.state = 'rejected' then null else o.reason end,
      field      = case when o.state = 'rejected' then null else o.field end,
      not_before = case when o.state = 'rejected' or o.attempts = 0 then excluded.not_before else o.not_before end
    returning 1)
  select count(*) from marked
$$;
comment on function rowtwin_private.mark_rows(integer[], text[], pg_lsn[], timestamptz[], text[], boolean[]) is
  'Puts keys into the outbox, or raises the generation of those that are there. Marking twice does no harm. Each (binding, key) may appear once a call.';

create or replace function rowtwin_private.mark_later(p_binding integer, p_keys text[], p_gone boolean default null) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  select rowtwin_private.mark_rows(
    array_fill(p_binding, array[cardinality(p_keys)]), p_keys,
    array_fill(pg_current_wal_insert_lsn(), array[cardinality(p_keys)]),
    array_fill(rowtwin_private.clock(), array[cardinality(p_keys)]),
    array_fill(null::text, array[cardinality(p_keys)]), array_fill(p_gone, array[cardinality(p_keys)]))
$$;
comment on function rowtwin_private.mark_later(integer, text[], boolean) is
  'Marks keys of one binding to be looked at although no change of theirs was captured (resync, repair, first comparison). p_gone says that their rows are known to be deleted; null leaves what capture said.';

create or replace function rowtwin_private.rescue_outbox() returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  with rescued as (
    update rowtwin_private.outbox
    set state = 'ready', lease = null, lease_until = null, claimed = null
    where state = 'sending' and lease_until < rowtwin_private.clock()
    returning 1)
  select count(*) from rescued
$$;
comment on function rowtwin_private.rescue_outbox() is
  'Makes entries ready again whose lease ran out: their process died or was paused. Creates among them are looked up before anything is sent, since their link says creating.';

create or replace function rowtwin_private.claim(
  p_binding integer, p_limit integer, p_lease uuid, p_lease_for interval
) returns table (key text, generation bigint, changed_at timestamptz, attempts integer, actor text, row_gone boolean)
language sql volatile
set search_path = pg_catalog
as $$
  with picked as (
    select o.key from rowtwin_private.outbox o
    where o.binding_id = p_binding and o.state = 'ready' and o.not_before <= rowtwin_private.clock()
    order by o.not_before, o.since
    limit p_limit
    for update skip locked)
  update rowtwin_private.outbox o
  set state = 'sending', lease = p_lease, lease_until = rowtwin_private.clock() + p_lease_for, claimed = o.generation
  from picked
  where o.binding_id = p_binding and o.key = picked.key
  returning o.key, o.generation, o.changed_at, o.attempts, o.actor, coalesce(o.row_gone, false)
$$;
comment on function rowtwin_private.claim(integer, integer, uuid, interval) is
  'Takes up to p_limit ready keys under a lease. While a key is sending no other turn sends it and no page is applied to it.';

create or replace function rowtwin_private.begin_send(
  p_binding integer, p_lease uuid, p_lease_for interval,
  p_keys text[], p_revisions bigint[], p_attempts uuid[], p_intents jsonb[]
) returns table (key text)
language plpgsql volatile
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rowtwin_private.clock();
begin
  -- a page that is being applied to these links commits first; what it changed is looked at again
  perform 1 from rowtwin_private.link l
  where l.binding_id = p_binding and l.key = any (p_keys)
  order by l.key
  for update;

  insert into rowtwin_private.link as l (binding_id, key, state, attempt, attempted_at, intent, settled_at)
  select p_binding, w.key, 'creating', w.attempt, v_now, w.intent, v_now
  from unnest(p_keys, p_revisions, p_attempts, p_intents) as w (key, revision, attempt, intent)
  join rowtwin_private.outbox o on o.binding_id = p_binding and o.key = w.key
  where w.attempt is not null and o.lease = p_lease and o.lease_until > v_now
  order by w.key
  on conflict (binding_id, key) do update
  set attempted_at = excluded.attempted_at, intent = excluded.intent
  where l.state = 'creating' and l.attempt = excluded.attempt;

  -- only what is still ours: a process that was paused past its lease sends nothing
  return query
  update rowtwin_private.outbox o
  set lease_until = v_now + p_lease_for
  from unnest(p_keys, p_revisions, p_attempts) as w (key, revision, attempt)
  left join rowtwin_private.link l on l.binding_id = p_binding and l.key = w.key
  where o.binding_id = p_binding and o.key = w.key and o.lease = p_lease and o.lease_until > v_now
    and case when w.attempt is null then coalesce(l.revision, 0) = w.revision
             else l.state = 'creating' and l.attempt = w.attempt end
  returning o.key;
end
$$;
comment on function rowtwin_private.begin_send(integer, uuid, interval, text[], bigint[], uuid[], jsonb[]) is
  'The last check before a call: returns the keys whose lease still holds and whose link did not change since it was looked at (revision 0: no link). Commits the intent of creates (attempt not null) and renews the lease.';

create or replace function rowtwin_private.settle(p_binding integer, p_lease uuid, p_results jsonb) returns table (key text, settled boolean)
language plpgsql volatile
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
  r record;
  v_now timestamptz := rowtwin_private.clock();
  v_key text;
  v_other text;
  v_ok boolean;
  v_ours boolean;
begin
  for r in
    select * from jsonb_to_recordset(p_results) as x (
      key text, verdict text, link text, remote_id text, version text, remote_ms bigint, reference text, shadow jsonb,
      attempt uuid, field text, reason text, wait_ms bigint, effect text, before jsonb, after jsonb, actor text, side text)
    order by key
  loop
    v_ok := true;
    select exists (select 1 from rowtwin_private.outbox o
                   where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease) into v_ours;
    -- the row's primary key may have changed while the call was under way: its link has moved on then
    v_key := r.key;
    if r.attempt is not null then
      select l.key into v_key from rowtwin_private.link l
      where l.binding_id = p_binding and l.state = 'creating' and l.attempt = r.attempt;
    elsif r.effect = 'update' and not exists (
      select 1 from rowtwin_private.link l where l.binding_id = p_binding and l.key = r.key)
    then
      select l.key into v_key from rowtwin_private.link l where l.binding_id = p_binding and l.remote_id = r.remote_id;
    end if;
    v_key := coalesce(v_key, r.key);
    if r.link = 'linked' then
      -- a kept link stands for no twins any more and gives way
      delete from rowtwin_private.link l
      where l.binding_id = p_binding and l.remote_id = r.remote_id and l.key <> v_key and l.state = 'kept';
      select l.key into v_other from rowtwin_private.link l
      where l.binding_id = p_binding and l.remote_id = r.remote_id and l.key <> v_key;
      if not v_ours and exists (select 1 from rowtwin_private.link l
                                where l.binding_id = p_binding and l.key = v_key and l.state = 'linked'
                                  and l.remote_id <> r.remote_id) then
        -- another turn took the key over and linked another record: people must see both
        v_ok := false;
        perform rowtwin_private.note_records(
          p_binding,
          (select array[r.remote_id, l.remote_id] from rowtwin_private.link l
           where l.binding_id = p_binding and l.key = v_key),
          'settled late');
      elsif v_other is not null then
        v_ok := false;
        r.verdict := 'rejected';
        r.field := null;
        r.reason := format('record %s is already the twin of row %s', r.remote_id, v_other);
        r.effect := 'reject';
        delete from rowtwin_private.link l where l.binding_id = p_binding and l.key = v_key and l.state = 'creating';
      else
        insert into rowtwin_private.link as l
          (binding_id, key, state, remote_id, shadow, version, remote_ms, reference, settled_at)
        values (p_binding, v_key, 'linked', r.remote_id, r.shadow, r.version, r.remote_ms, r.reference, v_now)
        on conflict (binding_id, key) do update set
          state = 'linked', remote_id = excluded.remote_id, shadow = excluded.shadow,
          version = coalesce(excluded.version, l.version), remote_ms = coalesce(excluded.remote_ms, l.remote_ms),
          reference = coalesce(excluded.reference, l.reference), attempt = null, attempted_at = null, intent = null,
          revision = l.revision + 1, settled_at = v_now;
        if not v_ours then
          -- another turn may have sent something newer before or after this: the row and the record are compared
          perform rowtwin_private.note_records(p_binding, array[r.remote_id], 'settled late');
          perform rowtwin_private.mark_later(p_binding, array[v_key]);
        end if;
      end if;
    elsif r.link = 'unlinked' then
      -- a create that was refused is forgotten, but not one that another turn took over meanwhile
      delete from rowtwin_private.link l
      where l.binding_id = p_binding and l.key = v_key
        and case when r.attempt is null then l.remote_id is not distinct from r.remote_id
                 else v_ours and l.state = 'creating' and l.attempt = r.attempt end;
    elsif r.link = 'kept' then
      update rowtwin_private.link l set state = 'kept', attempt = null, revision = l.revision + 1, settled_at = v_now
      where l.binding_id = p_binding and l.key = v_key and l.remote_id is not distinct from r.remote_id;
    end if;
    if r.link in ('unlinked', 'kept') and r.attempt is null and not v_ours then
      -- another turn may have found the row there again before the record went: the key is looked at once more
      perform rowtwin_private.mark_later(p_binding, array[v_key]);
    end if;

    if r.verdict = 'done' then
      delete from rowtwin_private.outbox o
      where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease and o.generation = o.claimed;
      update rowtwin_private.outbox o
      set state = 'ready', lease = null, lease_until = null, claimed = null, attempts = 0, reason = null, field = null
      where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease;
    elsif r.verdict = 'again' then
      update rowtwin_private.outbox o
      set state = 'ready', lease = null, lease_until = null, claimed = null,
          attempts = o.attempts + case when r.reason is null then 0 else 1 end,
          reason = r.reason, field = r.field,
          not_before = v_now + make_interval(secs => coalesce(r.wait_ms, 0) / 1000.0)
      where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease;
    elsif r.verdict in ('rejected', 'held', 'doubtful') then
      -- a change that came meanwhile may be the mend of a rejection
      update rowtwin_private.outbox o
      set state = case when r.verdict = 'rejected' and o.generation <> o.claimed then 'ready' else r.verdict end,
          lease = null, lease_until = null, claimed = null, attempts = o.attempts + 1,
          reason = coalesce(r.reason, 'no reason given'), field = r.field
      where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease;
    else
      raise exception 'settle: unknown verdict % for key %', r.verdict, r.key;
    end if;

    if r.effect is not null then
      insert into rowtwin_private.journal (at, binding_id, key, remote_id, side, effect, before, after, actor, attempt, reason)
      values (v_now, p_binding, r.key, r.remote_id, coalesce(r.side, 'remote'), r.effect, r.before, r.after, r.actor, r.attempt, r.reason);
    end if;
    key := r.key;
    settled := v_ok;
    return next;
  end loop;
end
$$;
comment on function rowtwin_private.settle(integer, uuid, jsonb) is
  'Ends a delivery, one transaction for the batch: moves the links and their shadows, journals the effects, and removes, reschedules or parks the outbox entries that the lease still holds. A link is recorded even if the lease was lost, since the record exists; row and record are then compared again.';

create or replace function rowtwin_private.all_visible(p_xids bigint[]) returns boolean
language sql volatile
set search_path = pg_catalog
as $$
  with snapshot as (select pg_current_snapshot() as s),
  bounds as (select s, pg_snapshot_xmax(s)::text::numeric as xmax from snapshot),
  full_ids as (
    -- the stream names transactions by their low 32 bits: take the id nearest to the newest one
    select s, case when (xmax - mod(xmax, 4294967296) + x) > xmax + 2147483648
                   then xmax - mod(xmax, 4294967296) + x - 4294967296
                   when (xmax - mod(xmax, 4294967296) + x) < xmax - 2147483648
                   then xmax - mod(xmax, 4294967296) + x + 4294967296
                   else xmax - mod(xmax, 4294967296) + x end as id
    from bounds, unnest(p_xids) x)
  select coalesce(bool_and(pg_visible_in_snapshot(id::text::xid8, s)), true) from full_ids
$$;
comment on function rowtwin_private.all_visible(bigint[]) is
  'Whether these transactions can be seen already. The stream delivers a commit as soon as it is in the WAL, which may be before others see it (long before, with synchronous replication): a mark looked at too early would find the old row.';
-- The inbox: ids of remote records to read again.

create or replace function rowtwin_private.note_records(
  p_binding integer, p_ids text[], p_why text, p_wait interval default '0'
) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  with noted as (
    insert into rowtwin_private.inbox as i (binding_id, remote_id, why, not_before)
    select p_binding, id, p_why, rowtwin_private.clock() + p_wait
    from unnest(p_ids) id
    order by id
    on conflict (binding_id, remote_id) do update
    set why = excluded.why, state = 'ready', reason = null,
        not_before = least(i.not_before, excluded.not_before)
    returning 1)
  select count(*) from noted
$$;
comment on function rowtwin_private.note_records(integer, text[], text, interval) is
  'Puts remote ids into the inbox; an id that is there already keeps its place and is read at the earlier of the two times.';

create or replace function rowtwin_private.reject_record(p_binding integer, p_id text, p_reason text) returns void
language sql volatile
set search_path = pg_catalog
as $$
  insert into rowtwin_private.inbox as i (binding_id, remote_id, why, state, reason, attempts)
  values (p_binding, p_id, 'failed', 'rejected', p_reason, 1)
  on conflict (binding_id, remote_id) do update
  set why = 'failed', state = 'rejected', reason = excluded.reason, attempts = i.attempts + 1
$$;
comment on function rowtwin_private.reject_record(integer, text, text) is
  'Keeps a record that could not be applied, with its reason. It is read again when the remote changes it, or by rowtwin.retry.';

create or replace function rowtwin_private.park_records(p_binding integer, p_ids text[]) returns void
language sql volatile
set search_path = pg_catalog
as $$
  insert into rowtwin_private.inbox as i (binding_id, remote_id, why, state, reason)
  select p_binding, id, 'doubt', 'rejected',
         'a create whose answer was lost may have made this record; select rowtwin.resolve_doubt(…) tells (see rowtwin.doubtful)'
  from unnest(p_ids) id order by id
  on conflict (binding_id, remote_id) do update set why = 'doubt', state = 'rejected', reason = excluded.reason
$$;
comment on function rowtwin_private.park_records(integer, text[]) is
  'Keeps records that may be what a create in doubt has made. rowtwin.resolve_doubt sets them free.';
-- Limits and the circuit breaker, shared by all processes through one row per system.

create or replace function rowtwin_private.take_call(
  p_system text, p_operation text, p_backfill boolean, p_timeout interval,
  out call_id bigint, out wait_ms bigint, out reason text
)
language plpgsql volatile
set search_path = pg_catalog
as $$
declare
  s rowtwin_private.system;
  v_now timestamptz := rowtwin_private.clock();
  v_used bigint;
  v_until timestamptz;
  v_day timestamptz;
begin
  select * into s from rowtwin_private.system where name = p_system for update;
  if not found then
    reason := 'unknown';
    return;
  end if;
  if s.state <> 'running' then
    reason := s.state;
    wait_ms := 5000;
    return;
  end if;
  v_until := greatest(s.throttled_until, case when s.down_since is not null then s.probe_at end);
  if v_until > v_now then
    reason := case when s.down_since is not null then 'down' else 'throttled' end;
    wait_ms := ceil(extract(epoch from v_until - v_now) * 1000);
    return;
  end if;
  if s.per_day is not null then
    v_day := date_trunc('day', v_now at time zone s.day_zone) at time zone s.day_zone;
    select coalesce(sum(u.calls), 0) into v_used from rowtwin_private.usage u
    where u.system = p_system and u.hour >= v_day;
    if s.used_reported_at >= v_day then
      v_used := greatest(v_used, s.used_reported);
    end if;
    -- what is under way is not booked yet
    v_used := v_used + (select count(*) from rowtwin_private.call c where c.system = p_system and c.deadline > v_now);
    if v_used >= s.per_day * (case when p_backfill then 1 - s.reserve else 1 end) then
      reason := 'budget';
      wait_ms := ceil(extract(epoch from v_day + interval '1 day' - v_now) * 1000);
      return;
    end if;
  end if;
  if s.in_flight is not null
     and (select count(*) from rowtwin_private.call c where c.system = p_system and c.deadline > v_now) >= s.in_flight then
    reason := 'in flight';
    wait_ms := 15;
    return;
  end if;
  if s.per_second is not null and s.next_call_at > v_now then
    reason := 'pace';
    wait_ms := greatest(1, ceil(extract(epoch from s.next_call_at - v_now) * 1000));
    return;
  end if;
  update rowtwin_private.system set
    next_call_at = case when per_second is null then next_call_at
                        else greatest(next_call_at, v_now) + make_interval(secs => 1 / per_second) end,
    -- while the system is down a single probe goes out and all others wait for its answer
    probe_at = case when down_since is not null then v_now + p_timeout else probe_at end
  where name = p_system and (per_second is not null or down_since is not null);
  insert into rowtwin_private.call (system, operation, deadline)
  values (p_system, p_operation, v_now + p_timeout)
  returning id into call_id;
end
$$;
comment on function rowtwin_private.take_call(text, text, boolean, interval) is
  'Asks for leave to make one call. Gives call_id, or why not (held, paused, down, throttled, budget, in flight, pace) and after how many ms to ask again. Backfills stop short of the daily budget by the reserve.';

create or replace function rowtwin_private.finish_call(
  p_call bigint, p_system text, p_outcome text, p_write boolean, p_records integer, p_millis bigint,
  p_wait_ms bigint, p_used bigint, p_reason text
) returns void
language plpgsql volatile
set search_path = pg_catalog
as $$
declare
  v_now timestamptz := rowtwin_private.clock();
  v_failed boolean := p_outcome in ('retry', 'unknown');
begin
  delete from rowtwin_private.call where id = p_call;
  insert into rowtwin_private.usage as u (system, hour, calls, writes, records, errors, millis)
  values (p_system, date_trunc('hour', v_now), 1, p_write::integer, p_records,
          (p_outcome not in ('ok', 'exists', 'gone', 'conflict', 'reject'))::integer, p_millis)
  on conflict (system, hour) do update set
    calls = u.calls + 1, writes = u.writes + excluded.writes, records = u.records + excluded.records,
    errors = u.errors + excluded.errors, millis = u.millis + excluded.millis;
  if p_used is not null then
    update rowtwin_private.system set used_reported = p_used, used_reported_at = v_now where name = p_system;
  end if;
  if p_outcome = 'throttled' then
    update rowtwin_private.system
    set throttled_until = v_now + make_interval(secs => coalesce(p_wait_ms, 1000 + (random() * 2000)::bigint) / 1000.0)
    where name = p_system;
  elsif v_failed then
    update rowtwin_private.system set
      failures = failures + 1,
      down_since = case when failures >= 2 then coalesce(down_since, v_now) end,
      -- full jitter under a ceiling that doubles up to a minute
      probe_at = case when failures >= 2 then
        v_now + make_interval(secs => coalesce(p_wait_ms / 1000.0, 0.2 + random() * least(60, 0.5 * 2 ^ least(failures - 2, 10)))) end
    where name = p_system;
  elsif p_outcome = 'looked' then
    -- somebody else's probe was used up by a look: the next one may go at once
    update rowtwin_private.system set probe_at = v_now where name = p_system and down_since is not null;
  elsif p_outcome = 'misconfigured' then
    update rowtwin_private.system set state = 'held', held_reason = coalesce(p_reason, 'the system refuses our sign-in or requests'), changed_at = v_now
    where name = p_system and state = 'running';
  else
    update rowtwin_private.system set failures = 0, down_since = null, probe_at = null
    where name = p_system and (failures > 0 or down_since is not null);
  end if;
end
$$;
comment on function rowtwin_private.finish_call(bigint, text, text, boolean, integer, bigint, bigint, bigint, text) is
  'Ends a call: books it, and moves the circuit breaker. Three failures in a row take the system down until a probe succeeds; a throttled answer makes everybody wait; a misconfigured one holds the system until a person resumes it, unless it was only a look (looked).';
-- Upkeep: journal partitions.

create or replace function rowtwin_private.keep_journal(p_days integer) returns integer
language plpgsql volatile set search_path = pg_catalog
as $$
declare
  v_day date;
  v_name text;
  v_count integer := 0;
  r record;
begin
  -- one at a time: two processes that start together would both make the same partition
  perform pg_advisory_xact_lock(hashtext('rowtwin_private.keep_journal'));
  for i in 0..2 loop
    v_day := (rowtwin_private.clock() at time zone 'UTC')::date + i;
    v_name := 'journal_' || to_char(v_day, 'YYYYMMDD');
    if to_regclass('rowtwin_private.' || v_name) is null
       and not exists (select 1 from rowtwin_private.journal_other o
                       where o.at >= v_day::timestamp at time zone 'UTC' and o.at < (v_day + 1)::timestamp at time zone 'UTC') then
      execute format('create table rowtwin_private.%I partition of rowtwin_private.journal for values from (%L) to (%L)',
                     v_name, v_day::timestamp at time zone 'UTC', (v_day + 1)::timestamp at time zone 'UTC');
      v_count := v_count + 1;
    end if;
  end loop;
  for r in
    select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'rowtwin_private' and c.relname ~ '^journal_\d{8}$'
      and to_date(substr(c.relname, 9), 'YYYYMMDD') < (rowtwin_private.clock() at time zone 'UTC')::date - p_days
  loop
    execute format('drop table rowtwin_private.%I', r.relname);
    v_count := v_count + 1;
  end loop;
  delete from rowtwin_private.call where deadline < rowtwin_private.clock() - interval '1 hour';
  return v_count;
end $$;
comment on function rowtwin_private.keep_journal(integer) is 'Makes the journal''s partitions of today and the next two days and drops those older than p_days. Returns how many it made or dropped.';
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
  select count(*) filter (where x.state in ('ready', 'sending')) as waiting,
         count(*) filter (where x.state = 'rejected') as rejected,
         count(*) filter (where x.state = 'doubtful') as doubtful,
         count(*) filter (where x.state = 'held') as held,
         min(x.since) filter (where x.state in ('ready', 'sending')) as oldest
  from rowtwin_private.outbox x where x.binding_id = b.id) o
cross join lateral (
  select count(*) filter (where x.state = 'ready') as waiting, count(*) filter (where x.state = 'rejected') as rejected
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
       coalesce(u.errors, 0) as errors_today
from rowtwin_private.system s
left join lateral (
  select sum(x.calls) as calls, sum(x.writes) as writes, sum(x.changes) as changes, sum(x.errors) as errors
  from rowtwin_private.usage x
  where x.system = s.name and x.hour >= date_trunc('day', now() at time zone s.day_zone) at time zone s.day_zone) u on true
cross join lateral (
  select count(*) as waiting from rowtwin_private.outbox x join rowtwin_private.binding b on b.id = x.binding_id
  where b.system = s.name) w
order by s.name;
comment on view rowtwin.systems is 'One line per remote system: whether it answers, its limits, and what it cost today.';

create or replace view rowtwin.outbox as
select b.table_name, b.system, b.object, o.key, o.state, o.since, o.changed_at, o.attempts,
       nullif(o.not_before, '-infinity') as not_before, o.field, o.reason, o.actor, l.remote_id
from rowtwin_private.outbox o
join rowtwin_private.binding b on b.id = o.binding_id
left join rowtwin_private.link l on l.binding_id = o.binding_id and l.key = o.key;
comment on view rowtwin.outbox is 'Rows on their way to a system, with what keeps them.';

create or replace view rowtwin.rejected as
select table_name, system, object, key, field, reason, attempts, since, changed_at from rowtwin.outbox where state = 'rejected';
comment on view rowtwin.rejected is 'Rows that a system, or a check before it, refused. Edit the row and it goes again by itself; or rowtwin.retry, rowtwin.discard.';

create or replace view rowtwin.approvals as
select table_name, system, object, reason, count(*) as rows, min(since) as since
from rowtwin.outbox where state = 'held'
group by table_name, system, object, reason;
comment on view rowtwin.approvals is 'Changes that wait for somebody to approve them, with the reason. rowtwin.approve(table) lets them go.';

create or replace view rowtwin.doubtful as
select o.table_name, o.system, o.object, o.key, l.attempt, l.attempted_at, o.reason, o.attempts
from rowtwin.outbox o
join rowtwin_private.binding b on b.table_name = o.table_name and b.system = o.system and b.object = o.object
join rowtwin_private.link l on l.binding_id = b.id and l.key = o.key
where o.state = 'doubtful';
comment on view rowtwin.doubtful is 'Creates whose answer was lost and that cannot be looked up. rowtwin.resolve_doubt says what became of them.';

create or replace view rowtwin.inbox as
select b.table_name, b.system, b.object, i.remote_id, i.why, i.state, i.since, i.attempts,
       nullif(i.not_before, '-infinity') as not_before, i.reason, l.key
from rowtwin_private.inbox i
join rowtwin_private.binding b on b.id = i.binding_id
left join rowtwin_private.link l on l.binding_id = i.binding_id and l.remote_id = i.remote_id;
comment on view rowtwin.inbox is 'Remote records that are to be read again, and those that could not be applied, with the reason.';

create or replace view rowtwin.conflicts as
select c.id, b.table_name, b.system, b.object, c.key, c.remote_id, c.field,
       c.shadow as was, c.row_value, c.record_value, c.winner, c.policy, c.decided_at, c.resolved_at, c.resolved_by
from rowtwin_private.conflict c
join rowtwin_private.binding b on b.id = c.binding_id;
comment on view rowtwin.conflicts is 'Fields that both sides changed, with what it was, both values and who won. The value that lost is kept here.';

create or replace view rowtwin.links as
select b.table_name, b.system, b.object, l.key, l.remote_id, l.state, l.shadow, l.version, l.settled_at
from rowtwin_private.link l
join rowtwin_private.binding b on b.id = l.binding_id;
comment on view rowtwin.links is 'Which row is the twin of which record, and the record as both sides last knew it.';

create or replace view rowtwin.journal as
select j.id, j.at, b.table_name, b.system, b.object, j.key, j.remote_id, j.side, j.effect, j.before, j.after, j.actor, j.reason
from rowtwin_private.journal j
join rowtwin_private.binding b on b.id = j.binding_id;
comment on view rowtwin.journal is 'What was written where, with the fields before and after, and on whose behalf.';

create or replace view rowtwin.usage as
select system, hour, changes, calls, writes, records, errors, millis, greatest(changes - writes, 0) as calls_saved
from rowtwin_private.usage;
comment on view rowtwin.usage is 'Per system and hour: row changes captured, calls made, and how many calls coalescing and batching saved.';

create or replace view rowtwin.slot as
select c.slot, c.publication,
       case when s.slot_name is null then 'missing' when s.active then 'streaming' else 'idle' end as state,
       s.wal_status,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint as retained_bytes,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn)::bigint as lag_bytes,
       s.confirmed_flush_lsn as confirmed, s.safe_wal_size, c.changes, c.last_at
from rowtwin_private.capture c
left join pg_replication_slots s on s.slot_name = c.slot;
comment on view rowtwin.slot is 'The replication slot: whether somebody streams from it, and how much WAL it retains.';

create or replace view rowtwin.lag as
select b.table_name, b.system, b.object,
       (select count(*) from rowtwin_private.outbox o where o.binding_id = b.id and o.state in ('ready', 'sending')) as to_remote,
       (select extract(epoch from clock_timestamp() - min(o.since))::bigint from rowtwin_private.outbox o where o.binding_id = b.id and o.state in ('ready', 'sending')) as oldest_seconds,
       extract(epoch from clock_timestamp() - b.last_poll_at)::bigint as poll_age_seconds
from rowtwin_private.binding b where b.active;
comment on view rowtwin.lag is 'How far each side is behind: rows waiting for a remote, and how old the last complete poll is, in seconds.';

create or replace view rowtwin.freshness as
select b.table_name, min(b.last_poll_at) filter (where b.pulls) as remote_edits_seen_until,
       bool_and(b.backfilled_at is not null or not b.pulls) as complete
from rowtwin_private.binding b where b.active
group by b.table_name;
comment on view rowtwin.freshness is 'Per table: up to when remote edits are in it, and whether the first reading of every system is complete.';
-- What people do. Each function says what it did; all are safe to call twice.

create or replace function rowtwin.pause(p_system text) returns text
language plpgsql volatile security definer set search_path = pg_catalog
as $$
begin
  update rowtwin_private.system set state = 'paused', held_reason = null, changed_at = now() where name = p_system;
  if not found then raise exception 'there is no system "%"', p_system using hint = 'select name from rowtwin.systems'; end if;
  return format('%s is paused: nothing is sent to it or read from it until rowtwin.resume(%L)', p_system, p_system);
end $$;
comment on function rowtwin.pause(text) is 'Stops all calls to a system. Changes go on being collected; nothing is lost.';

create or replace function rowtwin.resume(p_system text) returns text
language plpgsql volatile security definer set search_path = pg_catalog
as $$
begin
  update rowtwin_private.system
  set state = 'running', held_reason = null, failures = 0, down_since = null, probe_at = null, throttled_until = null, changed_at = now()
  where name = p_system;
  if not found then raise exception 'there is no system "%"', p_system using hint = 'select name from rowtwin.systems'; end if;
  update rowtwin_private.binding set state = 'running', held_reason = null, failures = 0 where system = p_system and state <> 'running';
  return format('%s is running', p_system);
end $$;
comment on function rowtwin.resume(text) is 'Ends a pause or a hold of a system and of its bindings.';

create or replace function rowtwin_private.binding_ids(p_table text, p_system text) returns setof integer
language plpgsql stable set search_path = pg_catalog
as $$
begin
  return query select b.id from rowtwin_private.binding b
    where b.table_name = p_table and (p_system is null or b.system = p_system);
  if not found then
    raise exception 'table "%" is not bound%', p_table, coalesce(' to ' || p_system, '')
      using hint = 'select table_name, system from rowtwin.status';
  end if;
end $$;
comment on function rowtwin_private.binding_ids(text, text) is 'The bindings of a table, to one system or to all; an error that names the cure where there is none.';

create or replace function rowtwin.retry(p_table text, p_key text default null, p_system text default null) returns bigint
language sql volatile security definer set search_path = pg_catalog
as $$
  with keys as (
    update rowtwin_private.outbox o
    set state = 'ready', reason = null, field = null, attempts = 0, not_before = '-infinity', generation = generation + 1
    where o.binding_id in (select rowtwin_private.binding_ids(p_table, p_system))
      and o.state in ('rejected', 'ready') and (p_key is null or o.key = p_key)
    returning 1),
  ids as (
    update rowtwin_private.inbox i
    set state = 'ready', reason = null, attempts = 0, not_before = '-infinity'
    where i.binding_id in (select rowtwin_private.binding_ids(p_table, p_system))
      and (p_key is null or i.remote_id = p_key)
    returning 1)
  select (select count(*) from keys) + (select count(*) from ids)
$$;
comment on function rowtwin.retry(text, text, text) is 'Tries rejected rows and unreadable records of a table again now: all, or one key (or remote id). Returns how many.';

create or replace function rowtwin.discard(p_table text, p_key text, p_system text default null) returns bigint
language sql volatile security definer set search_path = pg_catalog
as $$
  with gone as (
    delete from rowtwin_private.outbox o
    where o.binding_id in (select rowtwin_private.binding_ids(p_table, p_system))
      and o.key = p_key and o.state = 'rejected'
    returning o.binding_id, o.key, o.row_gone),
  -- a delete that is given up leaves a record without a row: no twins any more
  kept as (
    update rowtwin_private.link l set state = 'kept', revision = l.revision + 1, settled_at = now()
    from gone g where g.row_gone and l.binding_id = g.binding_id and l.key = g.key and l.state = 'linked'
    returning 1)
  select count(*) from gone
$$;
comment on function rowtwin.discard(text, text, text) is 'Gives a rejected change up. The row keeps its value and goes again with its next edit or the next resync; of a rejected delete, the record stays and is nobody''s twin any more.';

create or replace function rowtwin.approve(p_table text, p_system text default null) returns bigint
language sql volatile security definer set search_path = pg_catalog
as $$
  with approved as (
    update rowtwin_private.outbox o
    set state = 'ready', reason = null, field = null, attempts = 0, not_before = '-infinity', generation = o.generation + 1
    where o.binding_id in (select rowtwin_private.binding_ids(p_table, p_system)) and o.state = 'held'
    returning 1)
  select count(*) from approved
$$;
comment on function rowtwin.approve(text, text) is 'Lets held changes of a table go. Each row is looked at again as it is now: one that came back meanwhile is compared, not deleted. Returns how many.';

create or replace function rowtwin.resolve_doubt(p_table text, p_key text, p_system text, p_remote_id text) returns text
language plpgsql volatile security definer set search_path = pg_catalog
as $$
declare v_binding integer;
begin
  select b.id into v_binding from rowtwin_private.binding b
  join rowtwin_private.outbox o on o.binding_id = b.id and o.key = p_key and o.state = 'doubtful'
  where b.table_name = p_table and b.system = p_system;
  if not found then
    raise exception 'row % of % is not in doubt towards %', p_key, p_table, p_system using hint = 'select * from rowtwin.doubtful';
  end if;
  if p_remote_id is null then
    delete from rowtwin_private.link where binding_id = v_binding and key = p_key and state = 'creating';
  else
    update rowtwin_private.link
    set state = 'linked', remote_id = p_remote_id, attempt = null, attempted_at = null, intent = null,
        shadow = null, revision = revision + 1, settled_at = now()
    where binding_id = v_binding and key = p_key;
    perform rowtwin_private.note_records(v_binding, array[p_remote_id], 'doubt resolved');
  end if;
  update rowtwin_private.outbox set state = 'ready', reason = null, attempts = 0, not_before = '-infinity'
  where binding_id = v_binding and key = p_key;
  -- records that waited for this answer are read now; those that wait for another doubt are parked again
  update rowtwin_private.inbox set state = 'ready', reason = null, not_before = '-infinity'
  where binding_id = v_binding and why = 'doubt';
  return case when p_remote_id is null then 'the record does not exist: it is created again'
              else format('row %s is the twin of record %s', p_key, p_remote_id) end;
end $$;
comment on function rowtwin.resolve_doubt(text, text, text, text) is 'Says what became of a create in doubt: the remote id of the record that exists, or null if there is none.';

create or replace function rowtwin.resync(p_table text, p_system text default null) returns bigint
language sql volatile security definer set search_path = pg_catalog
as $$
  with again as (
    update rowtwin_private.binding b
    set first_push_at = null, backfilled_at = null, walk = null, since_ms = null, backfill_seen = 0, next_poll_at = '-infinity'
    where b.id in (select rowtwin_private.binding_ids(p_table, p_system))
    returning 1)
  select count(*) from again
$$;
comment on function rowtwin.resync(text, text) is 'Compares a table with its systems again, every row and every record. Only what differs is sent or written. Returns the number of bindings.';

create or replace function rowtwin.set_actor(p_name text) returns void
language sql volatile set search_path = pg_catalog
as $$ select pg_logical_emit_message(true, 'rowtwin.actor', p_name) $$;
comment on function rowtwin.set_actor(text) is 'Names the person on whose behalf this transaction edits rows; the journal shows the name.';

create or replace function rowtwin.resolve_conflict(p_id bigint, p_side text) returns text
language plpgsql volatile security definer set search_path = pg_catalog
as $$
declare c rowtwin_private.conflict;
begin
  if p_side not in ('row', 'record') then
    raise exception 'the side is ''row'' or ''record'', not %', quote_literal(p_side);
  end if;
  select * into c from rowtwin_private.conflict where id = p_id and winner = 'held' and resolved_at is null for update;
  if not found then raise exception 'conflict % is not open', p_id using hint = 'select * from rowtwin.conflicts where winner = ''held'' and resolved_at is null'; end if;
  update rowtwin_private.conflict set resolved_at = now(), resolved_by = session_user || ': ' || p_side where id = p_id;
  -- the base moves to the side that lost, so that the side that won is the only one that differs from it
  update rowtwin_private.link
  set shadow = shadow || jsonb_build_object(c.field, case p_side when 'row' then c.record_value else c.row_value end),
      revision = revision + 1, settled_at = now()
  where binding_id = c.binding_id and key = c.key and shadow is not null;
  perform rowtwin_private.mark_later(c.binding_id, array[c.key]);
  if c.remote_id is not null then
    perform rowtwin_private.note_records(c.binding_id, array[c.remote_id], 'conflict resolved');
  end if;
  return format('%s of row %s: the %s wins', c.field, c.key, p_side);
end $$;
comment on function rowtwin.resolve_conflict(bigint, text) is 'Decides a held conflict: ''row'' sends the row''s value, ''record'' takes the remote''s.';
-- Least privilege: nobody but the owner, until a role is given the right. Two roles without login gather what people
-- need; a DBA grants them to persons: grant rowtwin_reader to somebody.
do $$
begin
  -- roles belong to the whole server: another database, or another process at this moment, may have made them
  begin
    if not exists (select 1 from pg_roles where rolname = 'rowtwin_reader') then
      create role rowtwin_reader nologin;
    end if;
    if not exists (select 1 from pg_roles where rolname = 'rowtwin_operator') then
      create role rowtwin_operator nologin in role rowtwin_reader;
    end if;
  exception
    when duplicate_object or unique_violation then null;
    when insufficient_privilege then null;
  end;
end $$;

revoke all on schema rowtwin, rowtwin_private from public;
revoke all on all tables in schema rowtwin, rowtwin_private from public;
revoke all on all functions in schema rowtwin, rowtwin_private from public;

do $$
begin
  if exists (select 1 from pg_roles where rolname = 'rowtwin_reader') then
    grant usage on schema rowtwin to rowtwin_reader;
    grant select on all tables in schema rowtwin to rowtwin_reader;
    grant execute on function rowtwin.set_actor(text) to rowtwin_reader;
  end if;
  if exists (select 1 from pg_roles where rolname = 'rowtwin_operator') then
    grant usage on schema rowtwin to rowtwin_operator;
    grant select on all tables in schema rowtwin to rowtwin_operator;
    grant execute on all functions in schema rowtwin to rowtwin_operator;
  end if;
end $$;
