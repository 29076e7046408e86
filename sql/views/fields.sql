-- What the remote systems could hold beside what is mapped.

create or replace view rowtwin.remote_fields as
select b.table_name, b.system, b.object, r.field, r.label, r.kind, r.required, r.writable,
       exists (select 1 from jsonb_each(b.mapping -> 'fields') m
               where lower(split_part(m.value ->> 'field', '.', 1)) = lower(split_part(r.field, '.', 1))) as mapped,
       r.first_seen_at, r.seen_at, r.gone_at
from rowtwin_private.remote_field r
join rowtwin_private.binding b on b.id = r.binding_id
where b.active;
comment on view rowtwin.remote_fields is 'The fields of each bound object as the remote describes them, once a day: which are mapped, which are new, which are gone.';
