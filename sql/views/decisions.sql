-- What waits for a person's decision.

-- the columns of the first version were others; later ones keep the grants that people gave on it
do $$
begin
  if to_regclass('rowtwin.approvals') is not null and not exists (
    select 1 from pg_catalog.pg_attribute where attrelid = to_regclass('rowtwin.approvals') and attname = 'hold')
  then
    drop view rowtwin.approvals;
  end if;
end $$;
create or replace view rowtwin.approvals as
select b.table_name, b.system, b.object, o.key, l.remote_id, 1::bigint as rows, o.effect,
       (select jsonb_object_agg(f.name, l.shadow -> f.name) from jsonb_object_keys(o.effect -> 'update') f (name)
        where jsonb_typeof(o.effect -> 'update') = 'object') as was,
       o.hold, o.reason, o.since, o.actor
from rowtwin_private.outbox o
join rowtwin_private.binding b on b.id = o.binding_id
left join rowtwin_private.link l on l.binding_id = o.binding_id and l.key = o.key
where o.state = 'held' and o.hold = 'approval'
union all
select b.table_name, b.system, b.object, case when count(*) = 1 then min(o.key) end, null, count(*), null, null,
       o.hold, max(o.reason), min(o.since), case when count(distinct o.actor) = 1 then min(o.actor) end
from rowtwin_private.outbox o
join rowtwin_private.binding b on b.id = o.binding_id
where o.state = 'held' and o.hold is distinct from 'approval'
group by b.id, o.hold
union all
select b.table_name, b.system, b.object, null, case when count(*) = 1 then min(i.remote_id) end, count(*), null, null,
       i.hold, max(i.reason), min(i.since), null
from rowtwin_private.inbox i
join rowtwin_private.binding b on b.id = i.binding_id
where i.state = 'held' and i.hold = 'guard'
group by b.id, i.hold, i.why;
comment on view rowtwin.approvals is 'Changes that wait for somebody to approve them: a field or a delete that needs an approval has a line of its own, what was held together (a truncate, the guard) one line. rowtwin.approve and rowtwin.reject decide.';

create or replace view rowtwin.ambiguous as
select b.table_name, b.system, b.object, array[o.key] as row_keys, o.candidates as remote_ids,
       array(select jsonb_array_elements_text(b.mapping -> 'match')) as match_fields, o.reason, o.since
from rowtwin_private.outbox o
join rowtwin_private.binding b on b.id = o.binding_id
where o.candidates is not null and o.state = 'rejected'
union all
select b.table_name, b.system, b.object, i.candidates, array[i.remote_id] || coalesce(
         (select array_agg(l.remote_id order by l.key) from rowtwin_private.link l
          where l.binding_id = i.binding_id and l.key = any (i.candidates) and l.state = 'linked'), '{}'),
       array(select jsonb_array_elements_text(b.mapping -> 'match')), i.reason, i.since
from rowtwin_private.inbox i
join rowtwin_private.binding b on b.id = i.binding_id
where i.candidates is not null and i.state = 'held';
comment on view rowtwin.ambiguous is 'Rows and records that agree in the match fields with more than one of the other side: nothing is guessed. Make the values unique, or rowtwin.link.';
