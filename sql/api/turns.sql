-- Turns of direction: fields that two systems keep rewriting.

create or replace function rowtwin_private.give(p_binding integer, p_key text, p_gave text[], p_fields jsonb) returns text[]
language sql volatile
set search_path = pg_catalog
as $$
  update rowtwin_private.turning t set turns = t.turns + 1, last_way = 'give'
  where t.binding_id = p_binding and t.key = p_key and t.last_way = 'take'
    and t.field in (select jsonb_object_keys(p_fields));
  select array(select unnest(p_gave) union select jsonb_object_keys(p_fields) order by 1)
$$;
comment on function rowtwin_private.give(integer, text, text[], jsonb) is
  'Notes that these fields went to the record, and counts a turn where the last way was the other one; returns all fields that went since they came last.';

create or replace function rowtwin_private.take(p_binding integer, p_keys text[], p_fields text[], p_within interval) returns void
language sql volatile
set search_path = pg_catalog
as $$
  insert into rowtwin_private.turning as t (binding_id, key, field, last_way, turns, since)
  select p_binding, u.key, u.field, 'take', 1, rowtwin_private.clock()
  from unnest(p_keys, p_fields) u (key, field) order by u.key, u.field
  on conflict (binding_id, key, field) do update set
    last_way = 'take',
    turns = case when t.since < rowtwin_private.clock() - p_within then 1 else t.turns + 1 end,
    since = case when t.since < rowtwin_private.clock() - p_within then excluded.since else t.since end;
  update rowtwin_private.link l
  set gave = (select nullif(array_agg(g), '{}') from unnest(l.gave) g
              where not exists (select 1 from unnest(p_keys, p_fields) u (key, field) where u.key = l.key and u.field = g))
  where l.binding_id = p_binding and l.key = any (p_keys)
$$;
comment on function rowtwin_private.take(integer, text[], text[], interval) is
  'Counts a turn of these fields, that went to the record last and now come back. What is older than the window begins anew.';
