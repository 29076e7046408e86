-- The books name the object and the direction of a call, and what it cost.

alter table rowtwin_private.system
  add column price numeric not null default 0 check (price >= 0);
comment on column rowtwin_private.system.price is 'What one call costs, in the currency of whoever reads it.';
comment on column rowtwin_private.system.reserve is 'Share of per_day that whatever runs by itself (backfills, polls, sweeps) must leave for people''s edits.';

alter table rowtwin_private.usage
  add column object    text not null default '',
  add column direction text not null default 'other' check (direction in ('push', 'pull', 'other')),
  add column cost      numeric not null default 0,
  drop constraint usage_pkey,
  add primary key (system, hour, object, direction);
comment on table rowtwin_private.usage is 'Per system, hour, object and direction: row changes captured, calls made, records written or read by them, errors, time spent, cost.';
comment on column rowtwin_private.usage.object is 'The remote object that the call was about; empty for sign-ins, and for what was booked by a version that did not note it.';
comment on column rowtwin_private.usage.direction is 'push: for rows on their way out, the reads before a write included; pull: for records on their way in; other: sign-ins and descriptions.';
comment on column rowtwin_private.usage.cost is 'Calls times the price of a call at the time.';
