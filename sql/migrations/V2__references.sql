-- References between tables: what waits for the twin of another row, or for a record that was not read yet.

alter table rowtwin_private.outbox
  add column waits_binding integer references rowtwin_private.binding (id),
  add column waits_key text,
  add column loose boolean not null default false,
  drop constraint outbox_state_check,
  add constraint outbox_state_check check (state in ('ready', 'sending', 'held', 'rejected', 'doubtful', 'waiting')),
  add constraint outbox_waits_check
    check ((state = 'waiting') = (waits_binding is not null) and (waits_binding is null) = (waits_key is null));
create index outbox_waiting on rowtwin_private.outbox (waits_binding, waits_key) where state = 'waiting';
comment on column rowtwin_private.outbox.waits_binding is 'With waits_key: the row whose record must exist first, since this row refers to it. No call is made until then.';
comment on column rowtwin_private.outbox.loose is 'The row is one of a circle of rows that wait for each other: its record is made without the reference that is missing, which follows as an update.';

alter table rowtwin_private.inbox
  add column waits_binding integer references rowtwin_private.binding (id),
  add column waits_value text,
  add column name text,
  add column loose boolean not null default false,
  drop constraint inbox_state_check,
  add constraint inbox_state_check check (state in ('ready', 'rejected', 'waiting')),
  add constraint inbox_waits_check
    check ((state = 'waiting') = (waits_binding is not null) and (waits_binding is null) = (waits_value is null));
create index inbox_waiting on rowtwin_private.inbox (waits_binding, waits_value) where state = 'waiting';
comment on column rowtwin_private.inbox.name is 'The number or code by which others refer to this record, where that is not its id.';
comment on column rowtwin_private.inbox.loose is 'The record is one of a circle of records that wait for each other: its row is made without the reference that is missing, which follows when it is read again.';
comment on column rowtwin_private.inbox.waits_binding is 'With waits_value: the record (its id, or the number or code by which it is named) that this one refers to and that has no row yet. It is read first.';

create index link_reference on rowtwin_private.link (binding_id, reference) where reference is not null;
comment on column rowtwin_private.link.reference is 'The number or code by which other records of the system refer to this one, where that is not its id.';
