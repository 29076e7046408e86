-- The guard: no more deletes or changes within an hour than a binding allows, without somebody's approval.

create or replace function rowtwin_private.guard_lock(p_binding integer, p_side text) returns void
language sql volatile
set search_path = pg_catalog
as $$ select pg_advisory_xact_lock(hashtext('rowtwin_private.guard'), p_binding * 2 + (p_side = 'row')::integer) $$;
comment on function rowtwin_private.guard_lock(integer, text) is 'One at a time asks for room and counts what it took, whatever the process; until the transaction ends.';

create or replace function rowtwin_private.guard_count(p_binding integer, p_side text, p_deletes bigint, p_changes bigint) returns void
language sql volatile
set search_path = pg_catalog
as $$
  insert into rowtwin_private.guard as g (binding_id, side, minute, deletes, changes)
  select p_binding, p_side, date_trunc('minute', rowtwin_private.clock()), p_deletes, p_changes
  where p_deletes > 0 or p_changes > 0
  on conflict (binding_id, side, minute) do update
  set deletes = g.deletes + excluded.deletes, changes = g.changes + excluded.changes
$$;
comment on function rowtwin_private.guard_count(integer, text, bigint, bigint) is 'Counts records or rows that were deleted and changed, in the transaction that did it.';

create or replace function rowtwin_private.guard_used(p_binding integer, p_side text, p_kind text) returns bigint
language sql stable
set search_path = pg_catalog
as $$
  select coalesce(sum(case p_kind when 'deletes' then deletes else changes end), 0)::bigint
  from rowtwin_private.guard
  where binding_id = p_binding and side = p_side and minute > rowtwin_private.clock() - interval '1 hour'
$$;
comment on function rowtwin_private.guard_used(integer, text, text) is 'How many were deleted or changed within the last hour.';

create or replace function rowtwin_private.guard_links(p_binding integer) returns bigint
language plpgsql volatile
set search_path = pg_catalog
as $$
declare
  v_now timestamptz := rowtwin_private.clock();
  v_count bigint;
  v_at timestamptz;
begin
  select counted_links, counted_at into v_count, v_at from rowtwin_private.binding where id = p_binding;
  if v_at is null or v_at < v_now - interval '1 minute' or v_at > v_now then
    -- what was deleted within the hour was linked when the hour began
    select count(*) + rowtwin_private.guard_used(p_binding, 'remote', 'deletes') + rowtwin_private.guard_used(p_binding, 'row', 'deletes')
    into v_count from rowtwin_private.link where binding_id = p_binding and state = 'linked';
    -- the row of the binding may be locked by a pull's page: whoever comes next counts again then
    update rowtwin_private.binding set counted_links = v_count, counted_at = v_now
    where id = (select b.id from rowtwin_private.binding b where b.id = p_binding for no key update skip locked);
  end if;
  return coalesce(v_count, 0);
end $$;
comment on function rowtwin_private.guard_links(integer) is 'The linked rows of a binding and those that were deleted within the hour, counted at most once a minute.';

create or replace function rowtwin_private.guard_limit(
  p_binding integer, p_kind text, p_wanted bigint, p_used bigint, p_share double precision, p_most bigint, p_at_least bigint,
  out most bigint, out said text
)
language plpgsql volatile
set search_path = pg_catalog
as $$
declare v_links bigint;
begin
  if p_most is not null then
    most := p_most;
    said := to_char(most, 'FM999,999,999,999') || ' ' || p_kind || ' within an hour';
  elsif p_used + p_wanted <= p_at_least then
    -- the share is looked at only where it can matter
    most := p_at_least;
  else
    v_links := rowtwin_private.guard_links(p_binding);
    most := greatest(ceil(v_links * p_share)::bigint, p_at_least);
    said := format('%s %s within an hour (%s%% of %s linked rows, at least %s)',
                   to_char(most, 'FM999,999,999,999'), p_kind, round((p_share * 100)::numeric, 1)::float8,
                   to_char(v_links, 'FM999,999,999,999'), p_at_least);
  end if;
end $$;
comment on function rowtwin_private.guard_limit(integer, text, bigint, bigint, double precision, bigint, bigint) is
  'How many deletes or changes the guard of a binding allows within an hour: p_most, or the share p_share of the linked rows but at least p_at_least; and how it is said.';

create or replace function rowtwin_private.guard_hold(
  p_binding integer, p_lease uuid, p_kind text, p_keys text[], p_share double precision, p_most bigint, p_at_least bigint,
  p_pending bigint
) returns table (key text, reason text)
language plpgsql volatile
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
  v_used bigint;
  v_flying bigint;
  v_wanted text[];
  v_limit record;
  v_room bigint;
  v_coming bigint;
begin
  perform rowtwin_private.guard_lock(p_binding, 'remote');
  -- in the order of the keys, as marks lock them
  perform 1 from rowtwin_private.outbox o
  where o.binding_id = p_binding and o.lease = p_lease and o.key = any (p_keys) order by o.key for update;
  select coalesce(array_agg(o.key order by o.since, o.key), '{}') into v_wanted
  from rowtwin_private.outbox o
  where o.binding_id = p_binding and o.lease = p_lease and o.key = any (p_keys) and not o.waved;
  -- what others, or another chunk of ours, have room for and did not count yet
  select count(*) into v_flying from rowtwin_private.outbox o
  where o.binding_id = p_binding and o.guarded = p_kind and o.state = 'sending' and not o.waved
    and not (o.lease = p_lease and o.key = any (p_keys));
  v_used := rowtwin_private.guard_used(p_binding, 'remote', p_kind);
  v_coming := greatest(p_pending, v_flying + cardinality(v_wanted));
  select * into v_limit from rowtwin_private.guard_limit(p_binding, p_kind, v_coming, v_used, p_share, p_most, p_at_least);
  v_room := least(greatest(v_limit.most - v_used - v_flying, 0), cardinality(v_wanted));
  -- what is known to be too much as a whole is held as a whole
  if p_pending > 0 and v_used + p_pending > v_limit.most then v_room := 0; end if;
  update rowtwin_private.outbox o set guarded = p_kind
  where o.binding_id = p_binding and o.lease = p_lease and o.key = any (v_wanted[1:v_room::integer]);
  return query
    select k, format('the guard allows %s; %s went out in the last hour, and %s more would', coalesce(v_limit.said, ''),
                     to_char(v_used + v_flying, 'FM999,999,999,990'), to_char(greatest(v_coming - v_flying, 1), 'FM999,999,999,990'))
    from unnest(v_wanted[v_room::integer + 1:]) k;
end $$;
comment on function rowtwin_private.guard_hold(integer, uuid, text, text[], double precision, bigint, bigint, bigint) is
  'Reserves room for the deletes or changes of these claimed keys and returns those for which there is none, with the reason. p_pending: how many are known to wait in all; where that is too much, none has room. Settling counts what was reserved.';

create or replace function rowtwin_private.guard_room(
  p_binding integer, p_kind text, p_wanted bigint, p_share double precision, p_most bigint, p_at_least bigint
) returns table (room bigint, reason text)
language plpgsql volatile
set search_path = pg_catalog
as $$
declare
  v_used bigint;
  v_limit record;
begin
  perform rowtwin_private.guard_lock(p_binding, 'row');
  v_used := rowtwin_private.guard_used(p_binding, 'row', p_kind);
  select * into v_limit from rowtwin_private.guard_limit(p_binding, p_kind, p_wanted, v_used, p_share, p_most, p_at_least);
  room := greatest(v_limit.most - v_used, 0);
  reason := format('the guard allows %s, and %s were made in the last hour', coalesce(v_limit.said, ''),
                   to_char(v_used, 'FM999,999,999,990'));
  return next;
end $$;
comment on function rowtwin_private.guard_room(integer, text, bigint, double precision, bigint, bigint) is
  'For how many rows there is room on the way in, until the transaction ends; what is taken is counted with guard_count in the same one.';

create or replace function rowtwin_private.hold_records(p_binding integer, p_ids text[], p_why text, p_reason text) returns void
language sql volatile
set search_path = pg_catalog
as $$
  insert into rowtwin_private.inbox as i (binding_id, remote_id, why, state, hold, reason)
  select p_binding, id, p_why, 'held', 'guard', p_reason from unnest(p_ids) id order by id
  on conflict (binding_id, remote_id) do update
  set why = excluded.why, state = 'held', hold = 'guard', reason = excluded.reason, candidates = null,
      waits_binding = null, waits_value = null
  -- what somebody approved stays approved, and what somebody rejected rejected
  where not i.waved and not (i.state = 'rejected' and i.hold = 'guard')
$$;
comment on function rowtwin_private.hold_records(integer, text[], text, text) is 'Keeps records in the inbox that the guard holds, until somebody approves or rejects them.';
