-- Lifecycles: where a record stands, and what a save of ours still owes it.

alter table rowtwin_private.link add column stage text;
comment on column rowtwin_private.link.stage is
  'Where the record stands in its lifecycle, as last known. Null: not known, since it was not read yet or a step is under way.';

alter table rowtwin_private.outbox add column step text;
comment on column rowtwin_private.outbox.step is
  'The step that comes next: the record was taken back for a change of ours, or saved by us and not finished. Null: nothing is owed.';

-- a step is an effect like any other
alter table rowtwin_private.journal drop constraint journal_effect_check;
alter table rowtwin_private.journal add constraint journal_effect_check
  check (effect in ('create', 'update', 'delete', 'deactivate', 'link', 'unlink', 'reject', 'step'));
