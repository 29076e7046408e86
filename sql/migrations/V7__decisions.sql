-- Who decides: approvals, the guard, held records, conflicts by value, the brake, the row filter, ambiguous matches.

alter table rowtwin_private.outbox
  add column hold        text check (hold in ('truncate', 'approval', 'guard', 'ambiguous')),
  add column effect      jsonb,
  add column approved    jsonb,
  add column waved       boolean not null default false,
  add column guarded     text check (guarded in ('deletes', 'changes')),
  add column candidates  text[];
comment on column rowtwin_private.outbox.hold is 'Why the entry is held, or what kind of mend it needs: truncate, approval (a field that needs one), guard (too much at once), ambiguous (several twins come into question).';
comment on column rowtwin_private.outbox.effect is 'What would be sent, while it waits for an approval: {"update": fields}, {"create": fields} or {"delete": shadow}.';
comment on column rowtwin_private.outbox.approved is 'The effect that was approved. It goes only while it is still the same.';
comment on column rowtwin_private.outbox.waved is 'Somebody approved this entry: the guard lets it pass and does not count it. A change that capture sees takes this back.';
comment on column rowtwin_private.outbox.guarded is 'While sending: it has been given room by the guard and is not counted yet.';
comment on column rowtwin_private.outbox.candidates is 'The remote ids that come into question as the twin of this row.';
update rowtwin_private.outbox set hold = 'truncate' where state = 'held';
create index outbox_guarded on rowtwin_private.outbox (binding_id, guarded) where guarded is not null;
create index outbox_gone on rowtwin_private.outbox (binding_id) where row_gone;
create index outbox_candidates on rowtwin_private.outbox (binding_id) where candidates is not null;

alter table rowtwin_private.inbox
  drop constraint inbox_state_check,
  add constraint inbox_state_check check (state in ('ready', 'held', 'rejected', 'waiting')),
  add constraint inbox_held_check check (state <> 'held' or reason is not null),
  add column hold        text check (hold in ('guard', 'ambiguous')),
  add column waved       boolean not null default false,
  add column candidates  text[];
comment on column rowtwin_private.inbox.hold is 'Why the record is held: guard (too much at once), ambiguous (several rows come into question).';
comment on column rowtwin_private.inbox.waved is 'Somebody approved it: the guard lets it pass.';
comment on column rowtwin_private.inbox.candidates is 'The keys of the rows that come into question as the twin of this record.';
create index inbox_candidates on rowtwin_private.inbox (binding_id) where candidates is not null;

create table rowtwin_private.guard (
  binding_id integer not null references rowtwin_private.binding (id),
  side       text not null check (side in ('remote', 'row')),
  minute     timestamptz not null,
  deletes    bigint not null default 0,
  changes    bigint not null default 0,
  primary key (binding_id, side, minute)
) with (fillfactor = 50);
comment on table rowtwin_private.guard is 'How many records (side remote) and rows (side row) were deleted and changed, by the minute; the guard''s memory of the last hour.';

create table rowtwin_private.turning (
  binding_id integer not null references rowtwin_private.binding (id),
  key        text not null,
  field      text not null,
  last_way   text not null check (last_way in ('take', 'give')),
  turns      integer not null,
  since      timestamptz not null,
  primary key (binding_id, key, field)
);
comment on table rowtwin_private.turning is 'Fields whose direction (taken from the record, given to it) turned lately, and how often; two systems that keep rewriting each other show here.';

alter table rowtwin_private.link
  add column gave    text[],
  add column outside boolean not null default false,
  add column matched boolean not null default false;
comment on column rowtwin_private.link.gave is 'The fields that went to the record last, as far as they did not come back since; taking one of them is a turn.';
comment on column rowtwin_private.link.outside is 'The row was outside of the binding''s filter when it was looked at last. When it is inside again its record is read first.';
comment on column rowtwin_private.link.matched is 'The two were there before and found each other by the match fields, or were linked by a person.';

alter table rowtwin_private.conflict
  add column unit     text,
  add column chosen   jsonb,
  add column chosen_by text;
comment on column rowtwin_private.conflict.unit is 'The group of fields that is decided as one; the field itself where it is in none.';
comment on column rowtwin_private.conflict.chosen is 'The value that a person chose for both sides, in the remote''s form; until it is in the row and on its way to the record.';

alter table rowtwin_private.binding
  add column counted_links bigint,
  add column counted_at    timestamptz;
comment on column rowtwin_private.binding.counted_links is 'The rows that are linked or were until an hour ago, as the guard counted them last: at most a minute ago while it matters.';

alter table rowtwin_private.journal
  drop constraint journal_effect_check,
  add constraint journal_effect_check check (effect in
    ('create', 'update', 'delete', 'deactivate', 'link', 'unlink', 'reject', 'step', 'approve', 'hold', 'resolve'));
