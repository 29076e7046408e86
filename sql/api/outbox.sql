-- The outbox: mark, claim, begin to send, settle. The only writers of the tables outbox and link on the way out.

drop function if exists rowtwin_private.mark_rows(integer[], text[], pg_lsn[], timestamptz[], text[], boolean[]);
create or replace function rowtwin_private.mark_rows(
  p_bindings integer[], p_keys text[], p_positions pg_lsn[], p_changed_at timestamptz[], p_actors text[], p_gone boolean[],
  p_captured boolean default true
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
      -- an edit may be the mend of what was rejected, or change what is held or waited for, so it is looked at again;
      -- only a truncate stays with the person whom it waits for
      state      = case when o.state in ('held', 'rejected', 'waiting') and o.hold is distinct from 'truncate' then 'ready' else o.state end,
      attempts   = case when o.state in ('held', 'rejected', 'waiting') and o.hold is distinct from 'truncate' then 0 else o.attempts end,
      reason     = case when o.state in ('held', 'rejected', 'waiting') and o.hold is distinct from 'truncate' then null else o.reason end,
      field      = case when o.state in ('held', 'rejected', 'waiting') and o.hold is distinct from 'truncate' then null else o.field end,
      hold       = case when o.state in ('held', 'rejected', 'waiting') and o.hold is distinct from 'truncate' then null else o.hold end,
      effect     = case when o.state in ('held', 'rejected', 'waiting') and o.hold is distinct from 'truncate' then null else o.effect end,
      -- what was approved was another change; a line that was edited says nothing about its header's row and is one, too
      waved      = o.waved and excluded.row_gone is null and not p_captured,
      waits_binding = null,
      waits_key  = null,
      not_before = case when o.attempts = 0 or o.state in ('held', 'rejected', 'waiting') and o.hold is distinct from 'truncate' then excluded.not_before else o.not_before end
    returning 1)
  select count(*) from marked
$$;
comment on function rowtwin_private.mark_rows(integer[], text[], pg_lsn[], timestamptz[], text[], boolean[], boolean) is
  'Puts keys into the outbox, or raises the generation of those that are there. p_captured: these are edits, and no order to look again. Marking twice does no harm. Each (binding, key) may appear once a call.';

create or replace function rowtwin_private.mark_later(p_binding integer, p_keys text[], p_gone boolean default null) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  select rowtwin_private.mark_rows(
    array_fill(p_binding, array[cardinality(p_keys)]), p_keys,
    array_fill(pg_current_wal_insert_lsn(), array[cardinality(p_keys)]),
    array_fill(rowtwin_private.clock(), array[cardinality(p_keys)]),
    array_fill(null::text, array[cardinality(p_keys)]), array_fill(p_gone, array[cardinality(p_keys)]), false)
$$;
comment on function rowtwin_private.mark_later(integer, text[], boolean) is
  'Marks keys of one binding to be looked at although no change of theirs was captured (resync, repair, first comparison). p_gone says that their rows are known to be deleted; null leaves what capture said.';

create or replace function rowtwin_private.hold_links(p_binding integer, p_keys text[], p_gone boolean, p_reason text) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  with held as (
    insert into rowtwin_private.outbox as o (binding_id, key, state, hold, row_gone, reason)
    select l.binding_id, l.key, 'held', 'truncate', p_gone, p_reason
    from rowtwin_private.link l
    where l.binding_id = p_binding and (p_keys is null or l.key = any (p_keys)) and l.state = 'linked'
    order by l.key
    on conflict (binding_id, key) do update
    set state = 'held', hold = 'truncate', row_gone = coalesce(excluded.row_gone, o.row_gone), reason = excluded.reason,
        effect = null, candidates = null, waved = false, waits_binding = null, waits_key = null,
        lease = null, lease_until = null, claimed = null, generation = o.generation + 1
    returning 1)
  select count(*) from held
$$;
comment on function rowtwin_private.hold_links(integer, text[], boolean, text) is
  'Parks linked keys for a person to approve (rowtwin.approve), whatever state they are in: these, or all of the binding where p_keys is null. p_gone says that their rows are known to be deleted; null leaves what capture said.';

create or replace function rowtwin_private.rescue_outbox() returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  -- in the order of the keys, as marks lock them
  with late as (
    select o.binding_id, o.key from rowtwin_private.outbox o
    where o.state = 'sending' and o.lease_until < rowtwin_private.clock()
    order by o.binding_id, o.key
    for update skip locked),
  rescued as (
    update rowtwin_private.outbox o
    set state = 'ready', lease = null, lease_until = null, claimed = null, guarded = null
    from late where o.binding_id = late.binding_id and o.key = late.key
    returning 1)
  select count(*) from rescued
$$;
comment on function rowtwin_private.rescue_outbox() is
  'Makes entries ready again whose lease ran out: their process died or was paused. Creates among them are looked up before anything is sent, since their link says creating.';

drop function if exists rowtwin_private.claim(integer, integer, uuid, interval);
create or replace function rowtwin_private.claim(
  p_binding integer, p_limit integer, p_lease uuid, p_lease_for interval
) returns table (key text, generation bigint, changed_at timestamptz, attempts integer, actor text, row_gone boolean, loose boolean)
language sql volatile
-- how many are wanted is not known when this is planned, and a tenth of a long outbox looks like a reason to read it all
set search_path = pg_catalog set enable_seqscan = off
as $$
  with picked as (
    select o.key from rowtwin_private.outbox o
    where o.binding_id = p_binding and o.state = 'ready' and o.not_before <= rowtwin_private.clock()
      and exists (select 1 from rowtwin_private.binding b where b.id = p_binding and b.state = 'running')
    order by o.not_before, o.since
    limit p_limit
    for update skip locked)
  update rowtwin_private.outbox o
  set state = 'sending', lease = p_lease, lease_until = rowtwin_private.clock() + p_lease_for, claimed = o.generation
  where o.binding_id = p_binding and o.key = any (array(select picked.key from picked))
  returning o.key, o.generation, o.changed_at, o.attempts, o.actor, coalesce(o.row_gone, false), o.loose
$$;
comment on function rowtwin_private.claim(integer, integer, uuid, interval) is
  'Takes up to p_limit ready keys under a lease; none while the binding is held. While a key is sending no other turn sends it and no page is applied to it.';

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
  v_waved boolean;
  v_candidates text[];
  v_deletes bigint := 0;
  v_changes bigint := 0;
begin
  for r in
    select * from jsonb_to_recordset(p_results) as x (
      key text, verdict text, link text, remote_id text, version text, remote_ms bigint, reference text, shadow jsonb,
      attempt uuid, field text, reason text, wait_ms bigint, effect text, before jsonb, after jsonb, actor text, side text,
      waits_binding integer, waits_key text, hold text, would jsonb, candidates text[],
      stage text, step text, owes_nothing boolean, lines_unsent boolean)
    order by key
  loop
    v_ok := true;
    select o.waved, o.candidates into v_waved, v_candidates from rowtwin_private.outbox o
    where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease;
    v_ours := found;
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
        r.hold := 'ambiguous';
        r.candidates := array[r.remote_id];
        r.effect := 'reject';
        delete from rowtwin_private.link l where l.binding_id = p_binding and l.key = v_key and l.state = 'creating';
      else
        insert into rowtwin_private.link as l
          (binding_id, key, state, remote_id, shadow, version, remote_ms, reference, settled_at, matched)
        values (p_binding, v_key, 'linked', r.remote_id, r.shadow, r.version, r.remote_ms, r.reference, v_now,
                coalesce(r.effect = 'link', false))
        on conflict (binding_id, key) do update set
          state = 'linked', remote_id = excluded.remote_id, shadow = excluded.shadow,
          version = coalesce(excluded.version, l.version), remote_ms = coalesce(excluded.remote_ms, l.remote_ms),
          reference = coalesce(excluded.reference, l.reference), attempt = null, attempted_at = null, intent = null,
          matched = l.matched or excluded.matched,
          gave = case when r.effect = 'update' then rowtwin_private.give(p_binding, v_key, l.gave, r.after) else l.gave end,
          lines_sent = null, lines_sent_at = null,
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
    elsif r.link = 'outside' then
      update rowtwin_private.link l set outside = true where l.binding_id = p_binding and l.key = v_key and l.state = 'linked';
    elsif r.link = 'kept' then
      update rowtwin_private.link l set state = 'kept', attempt = null, revision = l.revision + 1, settled_at = v_now
      where l.binding_id = p_binding and l.key = v_key and l.remote_id is not distinct from r.remote_id;
    end if;
    if r.lines_unsent and v_ours then
      -- another line in their place would be taken for them
      update rowtwin_private.link l set lines_sent = null, lines_sent_at = null
      where l.binding_id = p_binding and l.key = v_key and l.lines_sent is not null;
    end if;
    if r.stage is not null then
      -- settled now: a page that was read before the step must not move the record back
      update rowtwin_private.link l set stage = r.stage, revision = l.revision + 1, settled_at = v_now
      where l.binding_id = p_binding and l.remote_id = r.remote_id and l.stage is distinct from r.stage;
    end if;
    if r.link in ('unlinked', 'kept') and r.remote_id is not null then
      -- a row that was refused because this record was the twin of another one is looked at again
      perform rowtwin_private.reopen_ambiguous(p_binding, array[]::text[], array[r.remote_id]);
    end if;
    if r.link in ('unlinked', 'kept') and r.attempt is null and not v_ours then
      -- another turn may have found the row there again before the record went: the key is looked at once more
      perform rowtwin_private.mark_later(p_binding, array[v_key]);
    end if;

    if r.verdict = 'done' then
      delete from rowtwin_private.outbox o
      where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease and o.generation = o.claimed;
      update rowtwin_private.outbox o
      set state = 'ready', lease = null, lease_until = null, claimed = null, attempts = 0, reason = null, field = null, step = null,
          guarded = null, approved = null, waved = false
      where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease;
    elsif r.verdict = 'step' then
      -- a save is a fresh start, and uses an approval up; a step is not, so that a system in which steps lead nowhere is
      -- asked ever more rarely
      update rowtwin_private.outbox o
      set state = 'ready', lease = null, lease_until = null, claimed = null, step = r.step, reason = null, field = null,
          guarded = null,
          approved = case when r.effect in ('create', 'update') then null else o.approved end,
          waved = o.waved and r.effect not in ('create', 'update'),
          attempts = case when r.effect in ('create', 'update') then 0 else o.attempts end,
          not_before = least(o.not_before, v_now)
      where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease;
    elsif r.verdict = 'again' then
      update rowtwin_private.outbox o
      set state = 'ready', lease = null, lease_until = null, claimed = null, guarded = null,
          attempts = o.attempts + case when r.reason is null then 0 else 1 end,
          reason = r.reason, field = r.field,
          step = case when r.owes_nothing then null else coalesce(r.step, o.step) end,
          not_before = v_now + make_interval(secs => coalesce(r.wait_ms, 0) / 1000.0)
      where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease;
    elsif r.verdict in ('rejected', 'held', 'doubtful') then
      -- a change that came meanwhile may be the mend of a rejection
      update rowtwin_private.outbox o
      set state = case when (r.verdict = 'rejected' or r.hold is not null) and o.generation <> o.claimed then 'ready' else r.verdict end,
          lease = null, lease_until = null, claimed = null, guarded = null, attempts = o.attempts + 1,
          reason = coalesce(r.reason, 'no reason given'), field = r.field,
          hold = r.hold, effect = r.would, candidates = r.candidates,
          approved = case when r.verdict = 'held' then null else o.approved end, waved = o.waved and r.verdict <> 'held',
          step = case when r.owes_nothing then null else coalesce(r.step, o.step) end
      where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease;
    elsif r.verdict = 'waiting' then
      -- a change that came meanwhile may refer to another row
      update rowtwin_private.outbox o
      set state = case when o.generation <> o.claimed then 'ready' else 'waiting' end,
          waits_binding = case when o.generation = o.claimed then r.waits_binding end,
          waits_key = case when o.generation = o.claimed then r.waits_key end,
          lease = null, lease_until = null, claimed = null, guarded = null, attempts = 0, loose = false,
          not_before = '-infinity', reason = r.reason, field = r.field
      where o.binding_id = p_binding and o.key = r.key and o.lease = p_lease;
    else
      raise exception 'settle: unknown verdict % for key %', r.verdict, r.key;
    end if;

    if v_candidates is not null and r.candidates is null and r.verdict <> 'again' then
      -- what was ambiguous with this row may not be any more
      update rowtwin_private.outbox o set candidates = null where o.binding_id = p_binding and o.key = r.key;
      perform rowtwin_private.reopen_ambiguous(p_binding, array[r.key], v_candidates);
    end if;
    if not coalesce(v_waved, false) then
      v_deletes := v_deletes + case when r.effect in ('delete', 'deactivate') then 1 else 0 end;
      v_changes := v_changes + case when r.effect = 'update' then 1 else 0 end;
    end if;
    if r.effect is not null then
      insert into rowtwin_private.journal (at, binding_id, key, remote_id, side, effect, before, after, actor, attempt, reason)
      values (v_now, p_binding, r.key, r.remote_id, coalesce(r.side, 'remote'), r.effect, r.before, r.after, r.actor, r.attempt, r.reason);
    end if;
    key := r.key;
    settled := v_ok;
    return next;
  end loop;
  perform rowtwin_private.guard_count(p_binding, 'remote', v_deletes, v_changes);
end
$$;
comment on function rowtwin_private.settle(integer, uuid, jsonb) is
  'Ends a delivery, one transaction for the batch: moves the links and their shadows, journals the effects, and removes, reschedules or parks the outbox entries that the lease still holds. A link is recorded even if the lease was lost, since the record exists; row and record are then compared again.';

create or replace function rowtwin_private.release_waiting(p_binding integer default null, p_keys text[] default null) returns bigint
language sql volatile
set search_path = pg_catalog set enable_seqscan = off
as $$
  -- what somebody else holds at this moment is released by the next call, which comes within seconds
  with rows_free as (
    select o.binding_id, o.key from rowtwin_private.outbox o
    -- one look into an index for each that waits, however many links there are
    cross join lateral (
      select 1 from rowtwin_private.link l
      where l.binding_id = o.waits_binding and l.key = o.waits_key and l.state = 'linked' limit 1) found
    where o.state = 'waiting' and (p_binding is null or o.waits_binding = p_binding)
      and (p_keys is null or o.waits_key = any (p_keys))
      -- a new record names another one only when that one's lifecycle is finished
      and (not exists (select 1 from rowtwin_private.outbox p
                       where p.binding_id = o.waits_binding and p.key = o.waits_key and p.step is not null)
           or exists (select 1 from rowtwin_private.link own where own.binding_id = o.binding_id and own.key = o.key))
    order by o.binding_id, o.key
    for update of o skip locked),
  rows_released as (
    update rowtwin_private.outbox o
    set state = 'ready', waits_binding = null, waits_key = null, reason = null, field = null, not_before = '-infinity'
    from rows_free f where o.binding_id = f.binding_id and o.key = f.key
    returning 1),
  records_free as (
    select i.binding_id, i.remote_id from rowtwin_private.inbox i
    cross join lateral (
      (select 1 from rowtwin_private.link l
       where l.binding_id = i.waits_binding and l.remote_id = i.waits_value and l.state = 'linked'
         and (p_keys is null or l.key = any (p_keys)) limit 1)
      union all
      (select 1 from rowtwin_private.link l
       where l.binding_id = i.waits_binding and l.reference = i.waits_value and l.state = 'linked'
         and (p_keys is null or l.key = any (p_keys)) limit 1)
      limit 1) found
    where i.state = 'waiting' and (p_binding is null or i.waits_binding = p_binding)
    order by i.binding_id, i.remote_id
    for update of i skip locked),
  records_released as (
    update rowtwin_private.inbox i
    set state = 'ready', waits_binding = null, waits_value = null, reason = null, attempts = 0, not_before = '-infinity'
    from records_free f where i.binding_id = f.binding_id and i.remote_id = f.remote_id
    returning 1)
  select (select count(*) from rows_released) + (select count(*) from records_released)
$$;
comment on function rowtwin_private.release_waiting(integer, text[]) is
  'Frees rows and records that waited for twins which exist now: of one binding''s keys, or of all. Returns how many.';

create or replace function rowtwin_private.break_circles() returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  with recursive walk as (
    select o.binding_id, o.key, o.waits_binding, o.waits_key, array[o.binding_id || ' ' || o.key] as path
    from rowtwin_private.outbox o where o.state = 'waiting'
    union all
    select w.binding_id, w.key, o.waits_binding, o.waits_key, w.path || (o.binding_id || ' ' || o.key)
    from walk w
    join rowtwin_private.outbox o on o.binding_id = w.waits_binding and o.key = w.waits_key and o.state = 'waiting'
    where (o.binding_id || ' ' || o.key) <> all (w.path) and cardinality(w.path) < 64),
  circles as (
    select binding_id, key, path from walk where waits_binding = binding_id and waits_key = key),
  chosen as (
    -- one of each circle; which one does not matter, but all looks must choose the same
    select c.binding_id, c.key from circles c
    where c.binding_id || ' ' || c.key = (
      select min(p) from unnest(c.path) p
      -- one whose record exists already waits for nothing that could be left out
      where not exists (select 1 from rowtwin_private.link l
                        where l.binding_id = split_part(p, ' ', 1)::integer and l.key = substr(p, strpos(p, ' ') + 1)))),
  locked as (
    select o.binding_id, o.key from rowtwin_private.outbox o
    join chosen c on c.binding_id = o.binding_id and c.key = o.key
    where o.state = 'waiting'
    order by o.binding_id, o.key
    for update of o skip locked),
  loosened as (
    update rowtwin_private.outbox o
    set state = 'ready', loose = true, waits_binding = null, waits_key = null, reason = null, field = null
    from locked l where o.binding_id = l.binding_id and o.key = l.key
    returning 1)
  select count(*) from loosened
$$;
comment on function rowtwin_private.break_circles() is
  'Finds rows that wait for each other in a circle and lets one of each go without the reference that is missing; the reference follows as an update.';

create or replace function rowtwin_private.break_record_circles() returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  with recursive walk as (
    select i.binding_id, i.remote_id, i.name, i.waits_binding, i.waits_value, array[i.binding_id || ' ' || i.remote_id] as path
    from rowtwin_private.inbox i where i.state = 'waiting'
    union all
    select w.binding_id, w.remote_id, w.name, i.waits_binding, i.waits_value, w.path || (i.binding_id || ' ' || i.remote_id)
    from walk w
    join rowtwin_private.inbox i on i.binding_id = w.waits_binding and i.state = 'waiting'
      and (i.remote_id = w.waits_value or i.name = w.waits_value)
    where (i.binding_id || ' ' || i.remote_id) <> all (w.path) and cardinality(w.path) < 64),
  circles as (
    select binding_id, remote_id, path from walk
    where waits_binding = binding_id and (waits_value = remote_id or waits_value = name)),
  chosen as (
    select c.binding_id, c.remote_id from circles c
    where c.binding_id || ' ' || c.remote_id = (select min(p) from unnest(c.path) p)
      and not exists (select 1 from rowtwin_private.link l where l.binding_id = c.binding_id and l.remote_id = c.remote_id)),
  locked as (
    select i.binding_id, i.remote_id from rowtwin_private.inbox i
    join chosen c on c.binding_id = i.binding_id and c.remote_id = i.remote_id
    where i.state = 'waiting'
    order by i.binding_id, i.remote_id
    for update of i skip locked),
  loosened as (
    update rowtwin_private.inbox i
    set state = 'ready', loose = true, waits_binding = null, waits_value = null, reason = null, not_before = '-infinity'
    from locked l where i.binding_id = l.binding_id and i.remote_id = l.remote_id
    returning 1)
  select count(*) from loosened
$$;
comment on function rowtwin_private.break_record_circles() is
  'The same as break_circles for records whose rows wait for each other.';

create or replace function rowtwin_private.await_rows(p_binding integer, p_keys text[]) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  select coalesce(rowtwin_private.mark_later(p_binding, array_agg(k order by k)), 0)
  from unnest(p_keys) k
  where not exists (select 1 from rowtwin_private.link l where l.binding_id = p_binding and l.key = k)
    and not exists (select 1 from rowtwin_private.outbox o where o.binding_id = p_binding and o.key = k)
  having count(*) > 0
$$;
comment on function rowtwin_private.await_rows(integer, text[]) is
  'Marks rows that others wait for and that nothing would send otherwise.';

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
