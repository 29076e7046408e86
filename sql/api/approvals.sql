-- Approvals: what is held goes, or is given up, when a person says so.

-- the two arguments of before
drop function if exists rowtwin.approve(text, text);

create or replace function rowtwin.approve(p_table text, p_key text default null, p_system text default null) returns bigint
language sql volatile security definer set search_path = pg_catalog
as $$
  -- in the order of the keys, as marks lock them
  with held as (
    select o.binding_id, o.key, o.hold, o.effect from rowtwin_private.outbox o
    where o.binding_id in (select rowtwin_private.binding_ids(p_table, p_system))
      and o.state = 'held' and (p_key is null or o.key = p_key)
    order by o.binding_id, o.key
    for update),
  approved as (
    update rowtwin_private.outbox o
    set state = 'ready', reason = null, field = null, attempts = 0, not_before = '-infinity', generation = o.generation + 1,
        hold = null, effect = null, approved = held.effect, waved = true
    from held where o.binding_id = held.binding_id and o.key = held.key
    returning 1),
  missing as (
    select i.binding_id, i.remote_id, i.why from rowtwin_private.inbox i
    left join rowtwin_private.link l on l.binding_id = i.binding_id and l.remote_id = i.remote_id
    where i.binding_id in (select rowtwin_private.binding_ids(p_table, p_system))
      and i.state = 'held' and i.hold = 'guard' and (p_key is null or i.remote_id = p_key or l.key = p_key)
    order by i.binding_id, i.remote_id
    for update of i),
  let_in as (
    update rowtwin_private.inbox i
    set state = 'ready', reason = null, attempts = 0, not_before = '-infinity', hold = null, waved = true
    from missing where i.binding_id = missing.binding_id and i.remote_id = missing.remote_id
    returning 1),
  told as (
    -- an approval of one thing has its own line; what was held together has one line for all of it
    insert into rowtwin_private.journal (at, binding_id, key, side, effect, after, actor, reason)
    select rowtwin_private.clock(), held.binding_id, held.key, 'link', 'approve', held.effect, session_user, null
    from held where held.hold = 'approval'
    union all
    select rowtwin_private.clock(), held.binding_id, case when count(*) = 1 then min(held.key) end, 'link', 'approve', null, session_user,
           format('%s rows held (%s)', count(*), held.hold)
    from held where held.hold is distinct from 'approval' group by held.binding_id, held.hold
    union all
    select rowtwin_private.clock(), missing.binding_id, null, 'link', 'approve', null, session_user,
           format('%s records held (%s)', count(*), missing.why)
    from missing group by missing.binding_id, missing.why
    returning 1)
  select (select count(*) from approved) + (select count(*) from let_in)
$$;
comment on function rowtwin.approve(text, text, text) is 'Lets held changes of a table go: all, or one key (or remote id). Each is looked at again as it is now: a row that came back meanwhile is compared, not deleted, and a value that changed meanwhile is held again. Returns how many.';

create or replace function rowtwin.reject(p_table text, p_key text, p_system text default null, p_why text default null) returns bigint
language sql volatile security definer set search_path = pg_catalog
as $$
  with held as (
    select o.binding_id, o.key, o.effect, coalesce(p_why, 'not approved') || ' (' || session_user || ')' as said
    from rowtwin_private.outbox o
    where o.binding_id in (select rowtwin_private.binding_ids(p_table, p_system))
      and o.state = 'held' and (p_key is null or o.key = p_key)
    order by o.binding_id, o.key
    for update),
  rejected as (
    update rowtwin_private.outbox o
    set state = 'rejected', reason = held.said, hold = null, effect = null, approved = null, waved = false
    from held where o.binding_id = held.binding_id and o.key = held.key
    returning 1),
  missing as (
    select i.binding_id, i.remote_id, l.key, coalesce(p_why, 'not approved') || ' (' || session_user || ')' as said
    from rowtwin_private.inbox i
    left join rowtwin_private.link l on l.binding_id = i.binding_id and l.remote_id = i.remote_id
    where i.binding_id in (select rowtwin_private.binding_ids(p_table, p_system))
      and i.state = 'held' and i.hold = 'guard' and (p_key is null or i.remote_id = p_key or l.key = p_key)
    order by i.binding_id, i.remote_id
    for update of i),
  kept_out as (
    -- it stays marked as the guard's, so that the next sweep does not ask again
    update rowtwin_private.inbox i set state = 'rejected', reason = missing.said
    from missing where i.binding_id = missing.binding_id and i.remote_id = missing.remote_id
    returning 1),
  told as (
    insert into rowtwin_private.journal (at, binding_id, key, remote_id, side, effect, after, actor, reason)
    select rowtwin_private.clock(), held.binding_id, held.key, null, 'link', 'reject', held.effect, session_user, held.said from held
    union all
    select rowtwin_private.clock(), missing.binding_id, missing.key, missing.remote_id, 'link', 'reject', null, session_user, missing.said
    from missing
    returning 1)
  select (select count(*) from rejected) + (select count(*) from kept_out)
$$;
comment on function rowtwin.reject(text, text, text, text) is 'Refuses held changes: one key (or remote id), or all where the key is null. They stand in rowtwin.rejected with the reason and the name; an edit of the row makes it ready again. Returns how many.';
