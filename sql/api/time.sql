-- The clock of all state machines. Tests set rowtwin.now to move it; production never does.
create or replace function rowtwin_private.clock() returns timestamptz
language sql volatile
set search_path = pg_catalog
as $$ select coalesce(nullif(current_setting('rowtwin.now', true), '')::timestamptz, clock_timestamp()) $$;
comment on function rowtwin_private.clock() is
  'The time by which leases, back-offs and limits are judged: the database''s clock, or the session setting rowtwin.now where a test sets it.';
