-- History: the story of one row.

create or replace function rowtwin_private.fields_told(p_before jsonb, p_after jsonb) returns text
language sql immutable set search_path = pg_catalog
as $$
  select string_agg(
    case when p_after is null then format('%s: %s', f, p_before -> f)
         when p_before is null then format('%s: %s', f, p_after -> f)
         else format('%s: %s → %s', f, coalesce(p_before -> f, 'null'), coalesce(p_after -> f, 'null')) end, ', ' order by f)
  from (select jsonb_object_keys(p_before) union select jsonb_object_keys(p_after)) x (f)
  where p_before is null or p_after is null or (p_before -> f) is distinct from (p_after -> f)
$$;
comment on function rowtwin_private.fields_told(jsonb, jsonb) is 'Fields before and after as one text: `tel: "1" → "2"`.';

create or replace function rowtwin.history(p_table text, p_key text)
returns table (at timestamptz, system text, what text, fields text, who text)
language sql stable security definer set search_path = pg_catalog
as $$
  select j.at, b.system,
    case j.side || ' ' || j.effect
      when 'remote create' then format('record %s was created from the row', j.remote_id)
      when 'remote update' then format('record %s was changed as the row was', j.remote_id)
      when 'remote delete' then format('record %s was deleted', j.remote_id)
      when 'remote deactivate' then format('record %s was deactivated', j.remote_id)
      when 'remote step' then format('record %s went on in its lifecycle', j.remote_id)
      when 'row create' then format('the row was made from record %s', j.remote_id)
      when 'row update' then format('the row was changed as record %s was', j.remote_id)
      when 'row delete' then format('the row was deleted as record %s was', j.remote_id)
      when 'link link' then format('the row and record %s became twins', j.remote_id)
      when 'link unlink' then format('the row and record %s are no twins any more', j.remote_id)
      when 'link approve' then 'a held change was approved'
      when 'link hold' then 'a change was held'
      when 'link resolve' then 'a conflict was decided'
      else case when j.effect = 'reject' then 'a change was refused' else j.effect || ' of the ' || j.side end
    end || coalesce(': ' || j.reason, ''),
    rowtwin_private.fields_told(j.before,
      case when j.effect = 'approve' then coalesce(j.after -> 'update', j.after -> 'create', j.after -> 'delete') else j.after end),
    j.actor
  from rowtwin_private.journal j
  join rowtwin_private.binding b on b.id = j.binding_id
  where j.binding_id in (select rowtwin_private.binding_ids(p_table, null)) and j.key = p_key
  union all
  select c.decided_at, b.system,
    case when c.winner = 'held' then format('%s was changed on both sides and is held (%s)', c.field, c.policy)
         else format('%s was changed on both sides: the %s won (%s)', c.field, c.winner, c.policy) end,
    format('%s: row %s, record %s, was %s', c.field, coalesce(c.row_value, 'null'), coalesce(c.record_value, 'null'), coalesce(c.shadow, 'null')),
    null
  from rowtwin_private.conflict c
  join rowtwin_private.binding b on b.id = c.binding_id
  where c.binding_id in (select rowtwin_private.binding_ids(p_table, null)) and c.key = p_key
  order by 1
$$;
comment on function rowtwin.history(text, text) is 'The story of one row across all systems: when, with which system, what happened in plain words, the fields before and after, and who. As far back as the journal is kept.';
