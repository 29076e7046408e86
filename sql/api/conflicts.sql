-- Conflicts: a person decides.

-- the two arguments of before
drop function if exists rowtwin.resolve_conflict(bigint, text);

create or replace function rowtwin.resolve_conflict(p_id bigint, p_side text, p_value jsonb default null) returns text
language plpgsql volatile security definer set search_path = pg_catalog
as $$
declare
  c rowtwin_private.conflict;
  o rowtwin_private.conflict;
  v_left bigint := 0;
begin
  if p_side not in ('row', 'record', 'value') then
    raise exception 'the side is ''row'', ''record'' or ''value'', not %', quote_literal(p_side);
  end if;
  if (p_side = 'value') <> (p_value is not null) then
    raise exception 'a value goes with the side ''value'', and only with it' using hint = 'select rowtwin.resolve_conflict(42, ''value'', to_jsonb(''13800000000''::text)); ''null''::jsonb clears the field';
  end if;
  select * into c from rowtwin_private.conflict where id = p_id and winner = 'held' and resolved_at is null;
  if not found then raise exception 'conflict % is not open', p_id using hint = 'select * from rowtwin.conflicts where winner = ''held'' and resolved_at is null'; end if;
  -- links first, as pages and deliveries lock
  perform 1 from rowtwin_private.link l where l.binding_id = c.binding_id and l.key = c.key for update;
  for o in
    select * from rowtwin_private.conflict x
    where x.binding_id = c.binding_id and x.key = c.key and x.winner = 'held' and x.resolved_at is null
      and coalesce(x.unit, x.field) = coalesce(c.unit, c.field)
    order by x.id for update
  loop
    if p_side = 'value' then
      if o.id = p_id then
        update rowtwin_private.conflict set chosen = p_value, chosen_by = session_user where id = o.id;
      elsif o.chosen is null then
        v_left := v_left + 1;
      end if;
      continue;
    end if;
    -- the fields of a group are decided together
    update rowtwin_private.conflict
    set resolved_at = now(), resolved_by = session_user || ': ' || p_side, chosen = null, chosen_by = null where id = o.id;
    delete from rowtwin_private.turning t where t.binding_id = o.binding_id and t.key = o.key and t.field = o.field;
    -- the base moves to the side that lost, so that the side that won is the only one that differs from it
    update rowtwin_private.link l
    set shadow = rowtwin_private.with_field(l.shadow, o.field, case p_side when 'row' then o.record_value else o.row_value end),
        gave = array_remove(l.gave, o.field), revision = l.revision + 1, settled_at = rowtwin_private.clock()
    where l.binding_id = o.binding_id and l.key = o.key and l.shadow is not null;
    insert into rowtwin_private.journal (at, binding_id, key, remote_id, side, effect, before, after, actor, reason)
    values (rowtwin_private.clock(), o.binding_id, o.key, o.remote_id, 'link', 'resolve',
            jsonb_build_object(o.field, case p_side when 'row' then o.record_value else o.row_value end),
            jsonb_build_object(o.field, case p_side when 'row' then o.row_value else o.record_value end),
            session_user, format('the %s wins', p_side));
  end loop;
  if v_left > 0 then
    return format('%s of row %s: noted; %s more field(s) of %s wait for their value', c.field, c.key, v_left, c.unit);
  end if;
  perform rowtwin_private.mark_later(c.binding_id, array[c.key]);
  if c.remote_id is not null then
    perform rowtwin_private.note_records(c.binding_id, array[c.remote_id], 'conflict resolved');
  end if;
  return format('%s of row %s: %s', c.field, c.key,
                case p_side when 'value' then 'both sides get the value' else 'the ' || p_side || ' wins' end);
end $$;
comment on function rowtwin.resolve_conflict(bigint, text, jsonb) is 'Decides a held conflict: ''row'' sends the row''s value, ''record'' takes the remote''s, ''value'' gives both sides p_value (in the remote''s form). The fields of a group are decided together.';

create or replace function rowtwin_private.close_conflicts(p_binding integer, p_keys text[], p_fields text[]) returns void
language sql volatile
set search_path = pg_catalog
as $$
  with closed as (
    update rowtwin_private.conflict c
    set resolved_at = rowtwin_private.clock(),
        resolved_by = case when c.chosen is null then 'both sides agree' else c.chosen_by || ': value' end
    from unnest(p_keys, p_fields) u (key, field)
    where c.binding_id = p_binding and c.key = u.key and c.field = u.field and c.winner = 'held' and c.resolved_at is null
    returning c.key, c.remote_id, c.field, c.chosen, c.chosen_by),
  forgotten as (
    delete from rowtwin_private.turning t using closed
    where t.binding_id = p_binding and t.key = closed.key and t.field = closed.field and closed.chosen is not null
    returning 1)
  insert into rowtwin_private.journal (at, binding_id, key, remote_id, side, effect, after, actor, reason)
  select rowtwin_private.clock(), p_binding, key, remote_id, 'link', 'resolve',
         case when chosen is not null then jsonb_build_object(field, chosen) end, chosen_by,
         case when chosen is null then field || ': both sides agree' else 'both sides get this value' end
  from closed
$$;
comment on function rowtwin_private.close_conflicts(integer, text[], text[]) is
  'Ends open conflicts whose chosen value is in the row now, or whose two sides agree by themselves.';
