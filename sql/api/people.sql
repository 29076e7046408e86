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
  if exists (select 1 from rowtwin_private.capture where restored_reason is not null) then
    raise exception 'the database was restored to an earlier point, and nobody has said yet which side is right'
      using hint = 'select rowtwin.accept_restored(''rows'') or (''records''); docs/runbook.md explains the choice';
  end if;
  update rowtwin_private.system
  set state = 'running', held_reason = null, failures = 0, down_since = null, probe_at = null, throttled_until = null, changed_at = now()
  where name = p_system;
  if not found then raise exception 'there is no system "%"', p_system using hint = 'select name from rowtwin.systems'; end if;
  perform rowtwin_private.free_bindings(array(select b.id from rowtwin_private.binding b where b.system = p_system));
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
  -- in the order of the keys, as marks lock them
  with picked as (
    select o.binding_id, o.key from rowtwin_private.outbox o
    where o.binding_id in (select rowtwin_private.binding_ids(p_table, p_system))
      and o.state in ('rejected', 'ready') and (p_key is null or o.key = p_key)
    order by o.binding_id, o.key
    for update),
  keys as (
    update rowtwin_private.outbox o
    set state = 'ready', reason = null, field = null, attempts = 0, not_before = '-infinity', generation = o.generation + 1,
        hold = null
    from picked where o.binding_id = picked.binding_id and o.key = picked.key
    returning 1),
  named as (
    -- what the guard holds needs an approval; what is ambiguous is looked at again
    select i.binding_id, i.remote_id from rowtwin_private.inbox i
    where i.binding_id in (select rowtwin_private.binding_ids(p_table, p_system))
      and (i.state <> 'held' or i.hold = 'ambiguous') and (p_key is null or i.remote_id = p_key)
    order by i.binding_id, i.remote_id
    for update),
  ids as (
    update rowtwin_private.inbox i
    set state = 'ready', reason = null, attempts = 0, not_before = '-infinity', hold = null, candidates = null,
        waits_binding = null, waits_value = null
    from named where i.binding_id = named.binding_id and i.remote_id = named.remote_id
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
    update rowtwin_private.link l set state = 'kept', revision = l.revision + 1, settled_at = rowtwin_private.clock()
    from gone g where g.row_gone and l.binding_id = g.binding_id and l.key = g.key and l.state = 'linked'
    returning 1)
  select count(*) from gone
$$;
comment on function rowtwin.discard(text, text, text) is 'Gives a rejected change up. The row keeps its value and goes again with its next edit or the next resync; of a rejected delete, the record stays and is nobody''s twin any more.';

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
        shadow = null, revision = revision + 1, settled_at = rowtwin_private.clock()
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
