-- The inbox: ids of remote records to read again.

create or replace function rowtwin_private.note_records(
  p_binding integer, p_ids text[], p_why text, p_wait interval default '0'
) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  with noted as (
    insert into rowtwin_private.inbox as i (binding_id, remote_id, why, since, not_before)
    select p_binding, id, p_why, rowtwin_private.clock(), rowtwin_private.clock() + p_wait
    from unnest(p_ids) id
    order by id
    on conflict (binding_id, remote_id) do update
    set why = excluded.why, state = 'ready', reason = null, hold = null, candidates = null,
        waits_binding = null, waits_value = null,
        not_before = least(i.not_before, excluded.not_before)
    -- what the guard holds, or somebody refused, waits for a person and not for its next reading
    where i.hold is distinct from 'guard'
    returning 1)
  select count(*) from noted
$$;
comment on function rowtwin_private.note_records(integer, text[], text, interval) is
  'Puts remote ids into the inbox; an id that is there already keeps its place and is read at the earlier of the two times.';

create or replace function rowtwin_private.note_webhook(p_bindings integer[], p_ids text[]) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  -- in the order of bindings and ids, as everybody locks them
  select coalesce(sum(rowtwin_private.note_records(n.binding_id, n.ids, 'webhook')), 0)::bigint
  from (select x.binding_id, array_agg(distinct x.id) as ids
        from unnest(p_bindings, p_ids) as x (binding_id, id)
        join rowtwin_private.binding b on b.id = x.binding_id and b.active and b.pulls
        group by x.binding_id
        order by x.binding_id) n
$$;
comment on function rowtwin_private.note_webhook(integer[], text[]) is
  'Puts the ids that a webhook names into the inbox, each for the binding at its place. What is not pulled is left out.';

create or replace function rowtwin_private.reject_record(p_binding integer, p_id text, p_reason text) returns void
language sql volatile
set search_path = pg_catalog
as $$
  insert into rowtwin_private.inbox as i (binding_id, remote_id, why, state, reason, attempts)
  values (p_binding, p_id, 'failed', 'rejected', p_reason, 1)
  on conflict (binding_id, remote_id) do update
  set why = 'failed', state = 'rejected', reason = excluded.reason, attempts = i.attempts + 1,
      waits_binding = null, waits_value = null, hold = null, candidates = null
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
  on conflict (binding_id, remote_id) do update
  set why = 'doubt', state = 'rejected', reason = excluded.reason, waits_binding = null, waits_value = null
$$;
comment on function rowtwin_private.park_records(integer, text[]) is
  'Keeps records that may be what a create in doubt has made. rowtwin.resolve_doubt sets them free.';

create or replace function rowtwin_private.hold_ambiguous(p_binding integer, p_id text, p_keys text[], p_reason text) returns void
language sql volatile
set search_path = pg_catalog
as $$
  insert into rowtwin_private.inbox as i (binding_id, remote_id, why, state, hold, reason, candidates)
  values (p_binding, p_id, 'ambiguous', 'held', 'ambiguous', p_reason, p_keys)
  on conflict (binding_id, remote_id) do update
  set why = 'ambiguous', state = 'held', hold = 'ambiguous', reason = excluded.reason, candidates = excluded.candidates,
      waits_binding = null, waits_value = null
$$;
comment on function rowtwin_private.hold_ambiguous(integer, text, text[], text) is
  'Keeps a record for which several rows, or a row that has a twin already, come into question. It is looked at again when one of the two sides changes, or by rowtwin.link or rowtwin.retry.';

create or replace function rowtwin_private.reopen_ambiguous(p_binding integer, p_keys text[], p_ids text[]) returns void
language sql volatile
set search_path = pg_catalog
as $$
  update rowtwin_private.outbox o
  set state = 'ready', reason = null, field = null, attempts = 0, hold = null, not_before = '-infinity',
      generation = o.generation + 1
  where o.binding_id = p_binding and o.candidates is not null and o.state = 'rejected'
    and (o.key = any (p_keys) or o.candidates && p_ids);
  update rowtwin_private.inbox i
  set state = 'ready', reason = null, attempts = 0, hold = null, candidates = null, not_before = '-infinity'
  where i.binding_id = p_binding and i.candidates is not null and i.state = 'held'
    and (i.remote_id = any (p_ids) or i.candidates && p_keys)
$$;
comment on function rowtwin_private.reopen_ambiguous(integer, text[], text[]) is
  'Lets rows and records be looked at again that were ambiguous with one of these keys or remote ids.';

create or replace function rowtwin_private.await_record(
  p_binding integer, p_id text, p_name text, p_parent integer, p_value text, p_by text, p_reason text
) returns void
language sql volatile
set search_path = pg_catalog
as $$
  insert into rowtwin_private.inbox as i (binding_id, remote_id, name, why, state, waits_binding, waits_value, reason)
  values (p_binding, p_id, p_name, 'refers', 'waiting', p_parent, p_value, p_reason)
  on conflict (binding_id, remote_id) do update
  set why = 'refers', name = excluded.name, state = 'waiting', loose = false, waits_binding = excluded.waits_binding,
      waits_value = excluded.waits_value, reason = excluded.reason;
  -- one that is there already stays as it is: it may wait itself, or have failed with a reason
  insert into rowtwin_private.inbox (binding_id, remote_id, why, since)
  select p_parent, p_value, case p_by when 'id' then 'referred to' else 'referred to by ' || p_by end, rowtwin_private.clock()
  where not exists (select 1 from rowtwin_private.inbox i
                    where i.binding_id = p_parent and i.name = p_value and i.state = 'waiting')
  on conflict (binding_id, remote_id) do nothing
$$;
comment on function rowtwin_private.await_record(integer, text, text, integer, text, text, text) is
  'Keeps a record until the one that it refers to has a row, and has that one read first. p_by says how the other is named: by its id or by its reference (a number, a code).';
