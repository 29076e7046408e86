-- Least privilege: nobody but the owner, until a role is given the right. Two roles without login gather what people
-- need; a DBA grants them to persons: grant rowtwin_reader to somebody. A third one gathers what the process needs, so
-- that it runs under a login of its own which owns nothing and never is a superuser.
do $$
begin
  -- roles belong to the whole server: another database, or another process at this moment, may have made them
  begin
    if not exists (select 1 from pg_roles where rolname = 'rowtwin_reader') then
      create role rowtwin_reader nologin;
    end if;
    if not exists (select 1 from pg_roles where rolname = 'rowtwin_operator') then
      create role rowtwin_operator nologin in role rowtwin_reader;
    end if;
    if not exists (select 1 from pg_roles where rolname = 'rowtwin_service') then
      create role rowtwin_service nologin;
    end if;
  exception
    when duplicate_object or unique_violation then null;
    when insufficient_privilege then null;
  end;
end $$;

revoke all on schema rowtwin, rowtwin_private from public;
revoke all on all tables in schema rowtwin, rowtwin_private from public;
revoke all on all functions in schema rowtwin, rowtwin_private from public;

do $$
begin
  if exists (select 1 from pg_roles where rolname = 'rowtwin_reader') then
    grant usage on schema rowtwin to rowtwin_reader;
    grant select on all tables in schema rowtwin to rowtwin_reader;
    grant execute on function rowtwin.set_actor(text), rowtwin.history(text, text) to rowtwin_reader;
  end if;
  if exists (select 1 from pg_roles where rolname = 'rowtwin_operator') then
    grant usage on schema rowtwin to rowtwin_operator;
    grant select on all tables in schema rowtwin to rowtwin_operator;
    grant execute on all functions in schema rowtwin to rowtwin_operator;
  end if;
  if exists (select 1 from pg_roles where rolname = 'rowtwin_service') then
    grant usage on schema rowtwin, rowtwin_private to rowtwin_service;
    grant select on all tables in schema rowtwin to rowtwin_service;
    grant select, insert, update, delete on all tables in schema rowtwin_private to rowtwin_service;
    -- which version the tables have is the owner's to say
    revoke insert, update, delete on rowtwin_private.migration from rowtwin_service;
    grant execute on all functions in schema rowtwin, rowtwin_private to rowtwin_service;
    -- it vacuums its work lists; before version 17 only their owner can, and autovacuum does it
    if current_setting('server_version_num')::integer >= 170000 then
      execute 'grant maintain on rowtwin_private.outbox, rowtwin_private.inbox to rowtwin_service';
    end if;
  end if;
end $$;
