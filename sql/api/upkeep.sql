-- Upkeep: journal partitions, dead rows of the work lists.

create or replace function rowtwin_private.keep_journal(p_days integer) returns integer
-- partitions are made and dropped by the owner of the journal, whoever runs the process
language plpgsql volatile security definer set search_path = pg_catalog
as $$
declare
  v_day date;
  v_name text;
  v_count integer := 0;
  r record;
begin
  -- one at a time: two processes that start together would both make the same partition
  perform pg_advisory_xact_lock(hashtext('rowtwin_private.keep_journal'));
  for i in 0..2 loop
    v_day := (rowtwin_private.clock() at time zone 'UTC')::date + i;
    v_name := 'journal_' || to_char(v_day, 'YYYYMMDD');
    if to_regclass('rowtwin_private.' || v_name) is null
       and not exists (select 1 from rowtwin_private.journal_other o
                       where o.at >= v_day::timestamp at time zone 'UTC' and o.at < (v_day + 1)::timestamp at time zone 'UTC') then
      execute format('create table rowtwin_private.%I partition of rowtwin_private.journal for values from (%L) to (%L)',
                     v_name, v_day::timestamp at time zone 'UTC', (v_day + 1)::timestamp at time zone 'UTC');
      v_count := v_count + 1;
    end if;
  end loop;
  for r in
    select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'rowtwin_private' and c.relname ~ '^journal_\d{8}$'
      and to_date(substr(c.relname, 9), 'YYYYMMDD') < (rowtwin_private.clock() at time zone 'UTC')::date - p_days
  loop
    execute format('drop table rowtwin_private.%I', r.relname);
    v_count := v_count + 1;
  end loop;
  -- what the guard and the brake have forgotten by now
  delete from rowtwin_private.guard where minute < rowtwin_private.clock() - interval '2 hours';
  delete from rowtwin_private.turning t where since < rowtwin_private.clock() - interval '1 day'
    and not exists (select 1 from rowtwin_private.conflict c where c.binding_id = t.binding_id and c.key = t.key
                    and c.field = t.field and c.winner = 'held' and c.resolved_at is null);
  delete from rowtwin_private.call where deadline < rowtwin_private.clock() - interval '1 hour';
  return v_count;
end $$;
comment on function rowtwin_private.keep_journal(integer) is 'Makes the journal''s partitions of today and the next two days and drops those older than p_days. Returns how many it made or dropped.';

create or replace function rowtwin_private.dead_rows() returns table (list text, dead bigint)
language plpgsql stable set search_path = pg_catalog
as $$
declare
  r record;
  v_may boolean;
begin
  for r in
    select c.oid, c.relowner, format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'rowtwin_private' and c.relname in ('outbox', 'inbox')
  loop
    v_may := pg_has_role(r.relowner, 'usage');
    -- the right has no name before
    if not v_may and current_setting('server_version_num')::integer >= 170000 then
      v_may := has_table_privilege(r.oid, 'maintain');
    end if;
    if v_may then
      list := r.name;
      dead := pg_stat_get_dead_tuples(r.oid);
      return next;
    end if;
  end loop;
end $$;
comment on function rowtwin_private.dead_rows() is 'The work lists that the current role may vacuum, each with how many dead rows the statistics count in it.';
