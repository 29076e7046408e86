-- Documents: what is remembered of lines, and their fields by the names that people see.

create or replace function rowtwin_private.note_lines_sent(p_binding integer, p_keys text[], p_lines jsonb[]) returns void
language sql volatile
set search_path = pg_catalog
as $$
  update rowtwin_private.link l set lines_sent = s.lines, lines_sent_at = rowtwin_private.clock()
  from unnest(p_keys, p_lines) s (key, lines)
  where l.binding_id = p_binding and l.key = s.key
$$;
comment on function rowtwin_private.note_lines_sent(integer, text[], jsonb[]) is
  'Remembers, just before an update goes out, the lines that it adds. A lost answer then never makes a second line.';

create or replace function rowtwin_private.with_field(p_record jsonb, p_field text, p_value jsonb) returns jsonb
language plpgsql immutable
set search_path = pg_catalog
as $$
declare
  v_parts text[] := regexp_match(p_field, '^(.+)\[([^\]]*)\]\.(.+)$');
begin
  if v_parts is null or jsonb_typeof(p_record -> v_parts[1]) is distinct from 'array' then
    return p_record || jsonb_build_object(p_field, p_value);
  end if;
  return p_record || jsonb_build_object(v_parts[1], (
    select coalesce(jsonb_agg(
             case when coalesce(line ->> 'id', line ->> 'key') = v_parts[2]
                  then jsonb_set(line, array['fields', v_parts[3]], coalesce(p_value, 'null'))
                  else line end order by place), '[]')
    from jsonb_array_elements(p_record -> v_parts[1]) with ordinality l (line, place)));
end
$$;
comment on function rowtwin_private.with_field(jsonb, text, jsonb) is
  'A record with one field set; FSaleOrderEntry[12].FQty names a field of the line with that id.';

create or replace function rowtwin_private.same_mapping(p_left jsonb, p_right jsonb) returns boolean
language sql immutable
set search_path = pg_catalog
as $$
  select p_left -> 'fields' = p_right -> 'fields' and (p_left -> 'lines') is not distinct from (p_right -> 'lines')
     and (p_left -> 'where') is not distinct from (p_right -> 'where')
$$;
comment on function rowtwin_private.same_mapping(jsonb, jsonb) is
  'Whether two states of a binding map the same columns of the same rows, lines included; if not, everything is compared again.';
