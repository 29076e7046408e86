-- Schema drift: the fields of the remote objects as they were last described, so that a change is noticed.

create table rowtwin_private.remote_field (
  binding_id    integer not null references rowtwin_private.binding (id),
  field         text not null,
  label         text not null,
  kind          text,
  required      boolean not null,
  writable      boolean,
  first_seen_at timestamptz not null default now(),
  seen_at       timestamptz not null default now(),
  gone_at       timestamptz,
  primary key (binding_id, field)
);
comment on table rowtwin_private.remote_field is 'The fields of a binding''s object, as the remote last described them. A mapped field that goes or changes holds the binding.';
comment on column rowtwin_private.remote_field.kind is 'The remote''s own word for the type; null: whatever the next description says is right.';
comment on column rowtwin_private.remote_field.gone_at is 'Since when the remote no longer describes the field.';

alter table rowtwin_private.binding
  add column described_at timestamptz,
  -- not at once: the first minute belongs to the rows
  add column next_describe_at timestamptz not null default now() + interval '1 minute';
comment on column rowtwin_private.binding.next_describe_at is 'When the remote is asked for the object''s fields again: once a day, and soon after it refused a reading.';
