-- Steps of a lifecycle: written down before the call, so that a crash in the middle resumes where it was.

create or replace function rowtwin_private.begin_steps(
  p_binding integer, p_lease uuid, p_keys text[], p_steps text[], p_moves boolean
) returns void
language plpgsql volatile
set search_path = pg_catalog
as $$
begin
  if p_moves then
    -- links before the outbox, as everywhere
    update rowtwin_private.link l set stage = null
    from rowtwin_private.outbox o
    where l.binding_id = p_binding and l.key = any (p_keys)
      and o.binding_id = l.binding_id and o.key = l.key and o.lease = p_lease;
  end if;
  update rowtwin_private.outbox o
  set step = case when p_moves then w.step else coalesce(o.step, w.step) end
  from unnest(p_keys, p_steps) as w (key, step)
  where o.binding_id = p_binding and o.key = w.key and o.lease = p_lease;
end
$$;
comment on function rowtwin_private.begin_steps(integer, uuid, text[], text[], boolean) is
  'Writes down, just before a call, what it leads to. p_moves: the call is the step itself, and where the record stands is not known until it is settled. Otherwise the call is a save, and the step is what it will owe.';
