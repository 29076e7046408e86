-- Twins: a person says which row and which record belong together.

create or replace function rowtwin_private.one_binding(p_table text, p_system text) returns rowtwin_private.binding
language plpgsql stable set search_path = pg_catalog
as $$
declare
  v_ids integer[] := array(select rowtwin_private.binding_ids(p_table, p_system));
  b rowtwin_private.binding;
begin
  if cardinality(v_ids) > 1 then
    raise exception 'table "%" is bound to several objects of %', p_table, p_system
      using hint = 'make the values of the match fields unique instead';
  end if;
  select * into b from rowtwin_private.binding where id = v_ids[1];
  return b;
end $$;
comment on function rowtwin_private.one_binding(text, text) is 'The only binding of a table to a system; an error where there is none, or more than one.';

create or replace function rowtwin_private.row_exists(p_table text, p_key text) returns boolean
language plpgsql stable set search_path = pg_catalog
as $$
declare
  v_table regclass := to_regclass(format('%I.%I', split_part(p_table, '.', 1), split_part(p_table, '.', 2)));
  v_where text;
  v_found boolean;
begin
  select string_agg(format(case when i.indnkeyatts = 1 then '%I = $1::%s' else '%I = ($1::jsonb ->> %s)::%s' end, variadic
                           case when i.indnkeyatts = 1 then array[a.attname::text, format_type(a.atttypid, a.atttypmod)]
                                else array[a.attname::text, (k.place - 1)::text, format_type(a.atttypid, a.atttypmod)] end), ' and ')
  into v_where
  from pg_index i
  cross join lateral unnest(i.indkey) with ordinality k (attnum, place)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
  where i.indrelid = v_table and i.indisprimary;
  execute format('select exists (select 1 from %s where %s)', v_table, v_where) into v_found using p_key;
  return v_found;
end $$;
comment on function rowtwin_private.row_exists(text, text) is 'Whether a table has a row with this key, in the form in which rowtwin writes keys.';

create or replace function rowtwin.link(p_table text, p_key text, p_system text, p_remote_id text) returns text
language plpgsql volatile security definer set search_path = pg_catalog
as $$
declare
  b rowtwin_private.binding := rowtwin_private.one_binding(p_table, p_system);
  l rowtwin_private.link;
  v_other text;
begin
  if not rowtwin_private.row_exists(p_table, p_key) then
    raise exception 'table "%" has no row %', p_table, p_key using hint = 'the key is the primary key as text; several columns: a JSON array of their texts';
  end if;
  perform 1 from rowtwin_private.link x
  where x.binding_id = b.id and (x.key = p_key or x.remote_id = p_remote_id) order by x.key for update;
  select * into l from rowtwin_private.link x where x.binding_id = b.id and x.key = p_key;
  if l.state = 'creating' then
    raise exception 'row % is in doubt towards %', p_key, p_system using hint = 'rowtwin.resolve_doubt says what became of the create';
  elsif l.state = 'linked' and l.remote_id = p_remote_id then
    return format('row %s is the twin of record %s already', p_key, p_remote_id);
  elsif l.state = 'linked' then
    raise exception 'row % is the twin of record %', p_key, l.remote_id
      using hint = format('select rowtwin.unlink(%L, %L, %L) first', p_table, p_key, p_system);
  end if;
  select x.key into v_other from rowtwin_private.link x
  where x.binding_id = b.id and x.remote_id = p_remote_id and x.key <> p_key and x.state <> 'kept';
  if v_other is not null then
    raise exception 'record % is the twin of row %', p_remote_id, v_other
      using hint = format('select rowtwin.unlink(%L, %L, %L) first', p_table, v_other, p_system);
  end if;
  delete from rowtwin_private.link x where x.binding_id = b.id and (x.key = p_key or x.remote_id = p_remote_id);
  insert into rowtwin_private.link (binding_id, key, state, remote_id, matched, settled_at)
  values (b.id, p_key, 'linked', p_remote_id, true, rowtwin_private.clock());
  insert into rowtwin_private.journal (at, binding_id, key, remote_id, side, effect, actor, reason)
  values (rowtwin_private.clock(), b.id, p_key, p_remote_id, 'link', 'link', session_user, 'linked by hand');
  perform rowtwin_private.reopen_ambiguous(b.id, array[p_key], array[p_remote_id]);
  perform rowtwin_private.note_records(b.id, array[p_remote_id], 'linked by hand');
  perform rowtwin_private.mark_later(b.id, array[p_key]);
  return format('row %s is the twin of record %s; the two are compared now', p_key, p_remote_id);
end $$;
comment on function rowtwin.link(text, text, text, text) is 'Says that a row and a record are twins. They are read and compared like at a first meeting (prefer decides).';

create or replace function rowtwin.unlink(p_table text, p_key text, p_system text) returns text
language plpgsql volatile security definer set search_path = pg_catalog
as $$
declare
  b rowtwin_private.binding := rowtwin_private.one_binding(p_table, p_system);
  l rowtwin_private.link;
begin
  select * into l from rowtwin_private.link x where x.binding_id = b.id and x.key = p_key for update;
  if l.key is null or l.state = 'creating' then
    raise exception 'row % of % has no twin in %', p_key, p_table, p_system using hint = 'select * from rowtwin.links';
  end if;
  if exists (select 1 from rowtwin_private.outbox o where o.binding_id = b.id and o.key = p_key and o.state = 'sending') then
    raise exception 'row % is being sent right now', p_key using hint = 'try again in a moment, or rowtwin.pause the system first';
  end if;
  delete from rowtwin_private.link x where x.binding_id = b.id and x.key = p_key;
  insert into rowtwin_private.journal (at, binding_id, key, remote_id, side, effect, before, actor, reason)
  values (rowtwin_private.clock(), b.id, p_key, l.remote_id, 'link', 'unlink', l.shadow, session_user, 'unlinked by hand');
  return format('row %s and record %s are no twins any more; rowtwin.link ties each to another', p_key, l.remote_id);
end $$;
comment on function rowtwin.unlink(text, text, text) is 'Says that a row and a record are no twins. Neither is changed; whichever is edited next is matched or made anew like any other without a twin, unless rowtwin.link ties it before.';
