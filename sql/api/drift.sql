-- Schema drift: a binding whose columns or fields changed under it is held; the others go on.

create or replace function rowtwin_private.hold_binding(p_binding integer, p_reason text) returns boolean
language sql volatile
set search_path = pg_catalog
as $$
  with held as (
    update rowtwin_private.binding set state = 'held', held_reason = p_reason
    where id = p_binding and state = 'running'
    returning 1)
  select exists (select 1 from held)
$$;
comment on function rowtwin_private.hold_binding(integer, text) is
  'Holds a binding for a person, with the reason. Its marks go on being collected. False when it was held or paused already.';

create or replace function rowtwin_private.note_fields(p_binding integer, p_fields jsonb, p_gone text[]) returns void
language plpgsql volatile
set search_path = pg_catalog
as $$
declare
  v_now timestamptz := rowtwin_private.clock();
begin
  insert into rowtwin_private.remote_field as r (binding_id, field, label, kind, required, writable, first_seen_at, seen_at)
  select distinct on (x.field) p_binding, x.field, x.label, x.kind, x.required, x.writable, v_now, v_now
  from jsonb_to_recordset(p_fields) as x (field text, label text, kind text, required boolean, writable boolean)
  order by x.field
  on conflict (binding_id, field) do update set
    label = excluded.label, kind = excluded.kind, required = excluded.required, writable = excluded.writable,
    seen_at = v_now, gone_at = null;
  update rowtwin_private.remote_field set gone_at = v_now
  where binding_id = p_binding and field = any (p_gone) and gone_at is null;
  update rowtwin_private.binding set described_at = v_now, next_describe_at = v_now + interval '1 day' where id = p_binding;
end
$$;
comment on function rowtwin_private.note_fields(integer, jsonb, text[]) is
  'Takes in how the remote describes the fields of a binding''s object, and which of them it no longer has. The next description is due in a day.';

create or replace function rowtwin_private.free_bindings(p_bindings integer[]) returns void
language plpgsql volatile
set search_path = pg_catalog
as $$
begin
  -- what is there now is right: only what changes from here on holds again
  update rowtwin_private.remote_field r set kind = null, writable = null
  from rowtwin_private.binding b
  where b.id = any (p_bindings) and b.state <> 'running' and r.binding_id = b.id;
  update rowtwin_private.binding
  set state = 'running', held_reason = null, failures = 0, next_describe_at = rowtwin_private.clock()
  where id = any (p_bindings) and state <> 'running';
end
$$;
comment on function rowtwin_private.free_bindings(integer[]) is
  'Ends the hold of bindings: a person has mended what was wrong. Their fields are described again at once, since one that is still missing holds again.';
