-- The slot as capture knows it, the identity of the database, and comparisons.

create or replace function rowtwin_private.database_identity(out system_identifier text, out timeline integer)
language sql volatile
set search_path = pg_catalog
as $$
  select (select c.system_identifier::text from pg_control_system() c),
         ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::integer
$$;
comment on function rowtwin_private.database_identity() is
  'Which server this is, and on which timeline: another one behind the same address, or the same one put back to an earlier point, has another answer.';

create or replace function rowtwin_private.database_known() returns boolean
language sql volatile
set search_path = pg_catalog
as $$
  select not exists (
    select 1 from rowtwin_private.capture c, rowtwin_private.database_identity() i
    where c.restored_reason is not null
       or c.system_identifier <> i.system_identifier
       or c.timeline <> i.timeline)
$$;
comment on function rowtwin_private.database_known() is
  'Whether this is the database that capture knows. Asked before every call: one that was restored or promoted sends nothing before somebody has looked.';

create or replace function rowtwin_private.take_capture(p_slot text, p_holder uuid) returns boolean
language sql volatile
set search_path = pg_catalog
as $$
  with taken as (
    update rowtwin_private.capture set holder = p_holder where slot = p_slot returning 1)
  select exists (select 1 from taken)
$$;
comment on function rowtwin_private.take_capture(text, uuid) is
  'Notes which stream captures, once the server has given it the slot. What an earlier one still writes is refused from then on. False for a slot that is not registered.';

create or replace function rowtwin_private.capture_alive(p_slot text, p_holder uuid) returns boolean
language sql volatile
set search_path = pg_catalog
as $$
  with alive as (
    insert into rowtwin_private.capturing as a (slot, holder, pid, alive_at)
    select c.slot, c.holder, s.active_pid, rowtwin_private.clock()
    from rowtwin_private.capture c join pg_replication_slots s on s.slot_name = c.slot
    where c.slot = p_slot and c.holder = p_holder and s.active_pid is not null
    on conflict (slot) do update set holder = excluded.holder, pid = excluded.pid, alive_at = excluded.alive_at
    returning 1)
  select exists (select 1 from alive)
$$;
comment on function rowtwin_private.capture_alive(text, uuid) is
  'A sign of life of the process that captures. False once another stream has taken over.';

create or replace function rowtwin_private.end_frozen_capture(p_slot text, p_patience interval) returns boolean
language sql volatile
set search_path = pg_catalog
as $$
  -- only the very stream that has stopped to give signs of life: one that began since is another server process
  select coalesce(bool_or(pg_terminate_backend(s.active_pid)), false)
  from rowtwin_private.capturing a
  join rowtwin_private.capture c on c.slot = a.slot and c.holder = a.holder
  join pg_replication_slots s on s.slot_name = a.slot and s.active_pid = a.pid
  where a.slot = p_slot and a.alive_at < rowtwin_private.clock() - p_patience
$$;
comment on function rowtwin_private.end_frozen_capture(text, interval) is
  'Ends the stream of a process that has given no sign of life for so long, so that another one gets the slot. True when there was one. Fails where that process signed in with a role that ours may not end.';

create or replace function rowtwin_private.order_recovery(p_reason text) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  with ordered as (
    insert into rowtwin_private.comparison as c (binding_id, purpose, reason, phase, barrier, expected)
    select b.id, 'recovery', p_reason, 'rows', pg_snapshot_xmax(pg_current_snapshot()),
           coalesce((select greatest(t.reltuples, 0)::bigint from pg_class t
                     where t.oid = to_regclass(format('%I.%I', split_part(b.table_name, '.', 1), split_part(b.table_name, '.', 2)))), 0)
           + (select count(*) from rowtwin_private.link l where l.binding_id = b.id)
    from rowtwin_private.binding b
    -- what was never compared will be compared as a whole by its first push
    where b.active and b.pushes and b.first_push_at is not null
    order by b.id
    on conflict (binding_id, purpose) do update set
      number = excluded.number, reason = excluded.reason, phase = 'rows', place = null, page = null,
      barrier = excluded.barrier, expected = excluded.expected, seen = 0, found = 0,
      began_at = now(), finished_at = null, not_before = '-infinity', last_error = null, lease = null, lease_until = null
    returning 1)
  select count(*) from ordered
$$;
comment on function rowtwin_private.order_recovery(text) is
  'Has every row and link of all pushing bindings compared with its shadow, from the beginning. Returns the number of bindings.';

create or replace function rowtwin_private.accept_database() returns void
language sql volatile
set search_path = pg_catalog
as $$
  update rowtwin_private.capture c
  set system_identifier = i.system_identifier, timeline = i.timeline, restored_reason = null
  from rowtwin_private.database_identity() i
$$;
comment on function rowtwin_private.accept_database() is 'From now on this server, on this timeline, is the one that capture knows.';

create or replace function rowtwin_private.slot_renewed(p_slot text, p_anchor pg_lsn, p_reason text) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  update rowtwin_private.capture c
  set anchor = p_anchor, confirmed = p_anchor, horizon = p_anchor, lost_reason = null,
      renewed_at = rowtwin_private.clock(), renewals = c.renewals + 1
  where c.slot = p_slot;
  select rowtwin_private.accept_database();
  select rowtwin_private.order_recovery(p_reason)
$$;
comment on function rowtwin_private.slot_renewed(text, pg_lsn, text) is
  'Takes note of a new slot that begins at p_anchor and orders the comparison that finds what was changed before it.';

create or replace function rowtwin_private.hold_restored(p_reason text) returns void
language sql volatile
set search_path = pg_catalog
as $$
  update rowtwin_private.capture set restored_reason = p_reason where restored_reason is null;
  update rowtwin_private.system
  set state = 'held', changed_at = now(),
      held_reason = p_reason || '; nothing is sent or read until somebody says which side is right: select rowtwin.accept_restored(''rows'') or (''records'')'
  where state <> 'held'
$$;
comment on function rowtwin_private.hold_restored(text) is 'Holds all systems because the database was restored to an earlier point, until rowtwin.accept_restored.';

create or replace function rowtwin_private.order_verification(
  p_binding integer, p_reason text, p_repair text, p_fences boolean default false
) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  insert into rowtwin_private.comparison as c (binding_id, purpose, reason, repair, fences, phase, expected)
  select b.id, 'verification', p_reason, p_repair, p_fences, 'links',
         (select count(*) from rowtwin_private.link l where l.binding_id = b.id)
         + coalesce((select greatest(t.reltuples, 0)::bigint from pg_class t
                     where t.oid = to_regclass(format('%I.%I', split_part(b.table_name, '.', 1), split_part(b.table_name, '.', 2)))), 0)
  from rowtwin_private.binding b where b.id = p_binding
  on conflict (binding_id, purpose) do update set
    number = excluded.number, reason = excluded.reason, repair = excluded.repair,
    -- a fence stays up until a verification is through, whoever begins it anew
    fences = excluded.fences or (c.fences and c.finished_at is null),
    phase = 'links', place = null, page = null,
    expected = excluded.expected, seen = 0, found = 0, began_at = now(), finished_at = null,
    not_before = '-infinity', last_error = null, lease = null, lease_until = null
  returning number
$$;
comment on function rowtwin_private.order_verification(integer, text, text, boolean) is
  'Has rows, shadows and records of a binding compared, from the beginning; p_repair says which side the differences are mended from. Returns the number of the verification.';

create or replace function rowtwin.accept_restored(p_trust text) returns text
language plpgsql volatile security definer set search_path = pg_catalog
as $$
declare v_bindings bigint;
begin
  if p_trust is null or p_trust not in ('rows', 'records') then
    raise exception 'trust ''rows'' or ''records'', not %', coalesce(quote_literal(p_trust), 'null');
  end if;
  perform rowtwin_private.accept_database();
  if p_trust = 'rows' then
    perform rowtwin_private.order_verification(b.id, 'the database was restored and its rows are trusted', 'row', true)
    from rowtwin_private.binding b where b.active and b.pushes order by b.id;
  end if;
  -- everything is read again before anything is compared; ids are compared too, since records may be gone
  update rowtwin_private.binding b
  set first_push_at = null, backfilled_at = null, walk = null, since_ms = null, backfill_seen = 0,
      next_poll_at = '-infinity', next_sweep_at = case when b.next_sweep_at is not null then '-infinity'::timestamptz end
  where b.active and (p_trust = 'records' or not b.pushes);
  update rowtwin_private.system
  set state = 'running', held_reason = null, changed_at = now()
  where state = 'held' and held_reason like '%rowtwin.accept_restored%';
  select count(*) into v_bindings from rowtwin_private.binding b where b.active;
  return format(case p_trust
    when 'rows' then '%s bindings: every record is read, and the rows'' values go out where they differ'
    else '%s bindings: every record is read again, and what differs is taken over' end, v_bindings);
end $$;
comment on function rowtwin.accept_restored(text) is 'Ends the hold of a database that was restored to an earlier point. ''rows'': the restored rows are right, and the records are made like them. ''records'': the records are right, and the rows catch up with them.';

create or replace function rowtwin.verify(p_table text, p_system text default null, p_repair text default null) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog
as $$
declare v_count bigint;
begin
  if p_repair is not null and p_repair not in ('row', 'record', 'merge') then
    raise exception 'repair from the ''row'', from the ''record'', or ''merge'', not %', quote_literal(p_repair);
  end if;
  select count(rowtwin_private.order_verification(id, 'asked for by ' || session_user, p_repair)) into v_count
  from rowtwin_private.binding_ids(p_table, p_system) id;
  return v_count;
end $$;
comment on function rowtwin.verify(text, text, text) is 'Has the running process compare rows, shadows and records of a table; rowtwin.verification shows how far it is and rowtwin.drift what differs. With a repair, differences are mended from the ''row'', from the ''record'', or by an ordinary ''merge''. Returns the number of bindings.';
