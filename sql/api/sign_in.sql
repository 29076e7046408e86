-- Sign-ins that replace their own secret: one at a time, over all processes.

create or replace function rowtwin_private.take_sign_in(
  p_system text, p_holder uuid, p_lease interval,
  out taken boolean, out generation bigint, out sealed bytea, out sent_at timestamptz
)
language plpgsql volatile
set search_path = pg_catalog
as $$
declare
  v_now timestamptz := rowtwin_private.clock();
begin
  insert into rowtwin_private.sign_in (system) values (p_system) on conflict (system) do nothing;
  update rowtwin_private.sign_in s set holder = p_holder, held_until = v_now + p_lease
  where s.system = p_system and (s.holder is null or s.holder = p_holder or s.held_until < v_now)
  returning true, s.generation, s.sealed, s.sent_at into taken, generation, sealed, sent_at;
  taken := coalesce(taken, false);
end
$$;
comment on function rowtwin_private.take_sign_in(text, uuid, interval) is
  'Takes the right to sign in, under a lease, and gives what was kept last. taken is false while another process signs in.';

create or replace function rowtwin_private.renew_sign_in(p_system text, p_holder uuid, p_lease interval) returns boolean
language sql volatile
set search_path = pg_catalog
as $$
  with renewed as (
    update rowtwin_private.sign_in s set held_until = rowtwin_private.clock() + p_lease
    where s.system = p_system and s.holder = p_holder and s.held_until > rowtwin_private.clock()
    returning 1)
  select exists (select 1 from renewed)
$$;
comment on function rowtwin_private.renew_sign_in(text, uuid, interval) is
  'Says that the holder still signs in; false when its lease is over.';

create or replace function rowtwin_private.begin_sign_in(p_system text, p_holder uuid) returns boolean
language sql volatile
set search_path = pg_catalog
as $$
  with begun as (
    update rowtwin_private.sign_in s set sent_at = coalesce(s.sent_at, rowtwin_private.clock())
    where s.system = p_system and s.holder = p_holder and s.held_until > rowtwin_private.clock()
    returning 1)
  select exists (select 1 from begun)
$$;
comment on function rowtwin_private.begin_sign_in(text, uuid) is
  'Notes, before the request goes out, that its answer may hold a new secret. False when the lease is over: nothing may be sent then.';

create or replace function rowtwin_private.keep_sign_in(p_system text, p_generation bigint, p_sealed bytea) returns boolean
language sql volatile
set search_path = pg_catalog
as $$
  with kept as (
    update rowtwin_private.sign_in s
    set sealed = p_sealed, generation = s.generation + 1, sent_at = null, changed_at = rowtwin_private.clock()
    where s.system = p_system and s.generation = p_generation
    returning 1)
  select exists (select 1 from kept)
$$;
comment on function rowtwin_private.keep_sign_in(text, bigint, bytea) is
  'Keeps what a sign-in gave. It needs no lease, since an answer that came late is the only copy there is; but nothing newer is overwritten: false when another generation is kept by now.';

create or replace function rowtwin_private.leave_sign_in(p_system text, p_holder uuid, p_answered boolean) returns void
language sql volatile
set search_path = pg_catalog
as $$
  update rowtwin_private.sign_in s
  set holder = null, held_until = null, sent_at = case when p_answered then null else s.sent_at end
  where s.system = p_system and s.holder = p_holder
$$;
comment on function rowtwin_private.leave_sign_in(text, uuid, boolean) is
  'Gives the right to sign in back; p_answered: the system has answered, and nothing of its answer is missing.';
