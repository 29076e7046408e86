-- Limits and the circuit breaker, shared by all processes through one row per system.

create or replace function rowtwin_private.take_call(
  p_system text, p_operation text, p_backfill boolean, p_timeout interval,
  out call_id bigint, out wait_ms bigint, out reason text
)
language plpgsql volatile
set search_path = pg_catalog
as $$
declare
  s rowtwin_private.system;
  v_now timestamptz := rowtwin_private.clock();
  v_used bigint;
  v_under_way bigint;
  v_until timestamptz;
  v_day timestamptz;
begin
  select * into s from rowtwin_private.system where name = p_system for update;
  if not found then
    reason := 'unknown';
    return;
  end if;
  if not rowtwin_private.database_known() then
    reason := 'moved';
    wait_ms := 1000;
    return;
  end if;
  if s.state <> 'running' then
    reason := s.state;
    wait_ms := 5000;
    return;
  end if;
  v_until := greatest(s.throttled_until, case when s.down_since is not null then s.probe_at end);
  if v_until > v_now then
    reason := case when s.down_since is not null then 'down' else 'throttled' end;
    wait_ms := ceil(extract(epoch from v_until - v_now) * 1000);
    return;
  end if;
  if s.per_day is not null then
    v_day := date_trunc('day', v_now at time zone s.day_zone) at time zone s.day_zone;
    -- what is under way is not booked yet. Both are read at one moment: a call that ends between two looks would be in
    -- neither
    select coalesce((select sum(u.calls) from rowtwin_private.usage u where u.system = p_system and u.hour >= v_day), 0),
           (select count(*) from rowtwin_private.call c where c.system = p_system and c.deadline > v_now)
    into v_used, v_under_way;
    if s.used_reported_at >= v_day then
      v_used := greatest(v_used, s.used_reported);
    end if;
    v_used := v_used + v_under_way;
    -- a reserve that nobody can use, since no table is pushed to this system, is not kept
    if v_used >= s.per_day * (case when p_backfill and exists (
         select 1 from rowtwin_private.binding b where b.system = p_system and b.active and b.pushes)
       then 1 - s.reserve else 1 end)
    then
      reason := case when v_used >= s.per_day then 'budget' else 'reserve' end;
      wait_ms := ceil(extract(epoch from v_day + interval '1 day' - v_now) * 1000);
      return;
    end if;
  end if;
  if s.in_flight is not null
     and (select count(*) from rowtwin_private.call c where c.system = p_system and c.deadline > v_now) >= s.in_flight then
    reason := 'in flight';
    wait_ms := 15;
    return;
  end if;
  if s.per_second is not null and s.next_call_at > v_now then
    reason := 'pace';
    wait_ms := greatest(1, ceil(extract(epoch from s.next_call_at - v_now) * 1000));
    return;
  end if;
  update rowtwin_private.system set
    next_call_at = case when per_second is null then next_call_at
                        else greatest(next_call_at, v_now) + make_interval(secs => 1 / per_second) end,
    -- while the system is down a single probe goes out and all others wait for its answer
    probe_at = case when down_since is not null then v_now + p_timeout else probe_at end
  where name = p_system and (per_second is not null or down_since is not null);
  insert into rowtwin_private.call (system, operation, deadline)
  values (p_system, p_operation, v_now + p_timeout)
  returning id into call_id;
end
$$;
comment on function rowtwin_private.take_call(text, text, boolean, interval) is
  'Asks for leave to make one call. Gives call_id, or why not (held, paused, down, throttled, budget, reserve, in flight, pace) and after how many ms to ask again. What runs by itself (p_backfill: backfills, polls, sweeps) stops short of the daily budget by the reserve, unless no table is pushed to the system.';

create or replace function rowtwin_private.renew_calls(p_system text, p_calls bigint[], p_timeout interval) returns bigint
language sql volatile
set search_path = pg_catalog
as $$
  with renewed as (
    update rowtwin_private.call c set deadline = rowtwin_private.clock() + p_timeout
    where c.system = p_system and c.id = any (p_calls)
    returning 1),
  -- a probe that is under way keeps the next one waiting
  probing as (
    update rowtwin_private.system s set probe_at = greatest(s.probe_at, rowtwin_private.clock() + p_timeout)
    where s.name = p_system and s.down_since is not null and exists (select 1 from renewed)
    returning 1)
  select count(*) from renewed
$$;
comment on function rowtwin_private.renew_calls(text, bigint[], interval) is
  'Says that these calls are still under way. A call that nobody renews, because its process is gone, no longer counts after its deadline.';

drop function if exists rowtwin_private.finish_call(bigint, text, text, boolean, integer, bigint, bigint, bigint, text);
create or replace function rowtwin_private.finish_call(
  p_call bigint, p_system text, p_outcome text, p_write boolean, p_records integer, p_millis bigint,
  p_wait_ms bigint, p_used bigint, p_reason text, p_object text default '', p_direction text default 'other'
) returns void
language plpgsql volatile
set search_path = pg_catalog
as $$
declare
  v_now timestamptz := rowtwin_private.clock();
  v_failed boolean := p_outcome in ('retry', 'unknown');
begin
  delete from rowtwin_private.call where id = p_call;
  insert into rowtwin_private.usage as u (system, hour, object, direction, calls, writes, records, errors, millis, cost)
  select p_system, date_trunc('hour', v_now), p_object, p_direction, 1, p_write::integer, p_records,
         (p_outcome not in ('ok', 'exists', 'gone', 'conflict', 'reject'))::integer, p_millis, s.price
  from rowtwin_private.system s where s.name = p_system
  on conflict (system, hour, object, direction) do update set
    calls = u.calls + 1, writes = u.writes + excluded.writes, records = u.records + excluded.records,
    errors = u.errors + excluded.errors, millis = u.millis + excluded.millis, cost = u.cost + excluded.cost;
  if p_used is not null then
    update rowtwin_private.system set used_reported = p_used, used_reported_at = v_now where name = p_system;
  end if;
  if p_outcome = 'throttled' then
    update rowtwin_private.system
    set throttled_until = v_now + make_interval(secs => coalesce(p_wait_ms, 1000 + (random() * 2000)::bigint) / 1000.0)
    where name = p_system;
  elsif v_failed then
    update rowtwin_private.system set
      failures = failures + 1,
      down_since = case when failures >= 2 then coalesce(down_since, v_now) end,
      -- full jitter under a ceiling that doubles up to a minute
      probe_at = case when failures >= 2 then
        v_now + make_interval(secs => coalesce(p_wait_ms / 1000.0, 0.2 + random() * least(60, 0.5 * 2 ^ least(failures - 2, 10)))) end
    where name = p_system;
  elsif p_outcome = 'looked' then
    -- somebody else's probe was used up by a look: the next one may go at once
    update rowtwin_private.system set probe_at = v_now where name = p_system and down_since is not null;
  elsif p_outcome = 'misconfigured' then
    update rowtwin_private.system set state = 'held', held_reason = coalesce(p_reason, 'the system refuses our sign-in or requests'), changed_at = v_now
    where name = p_system and state = 'running';
  else
    update rowtwin_private.system set failures = 0, down_since = null, probe_at = null
    where name = p_system and (failures > 0 or down_since is not null);
  end if;
end
$$;
comment on function rowtwin_private.finish_call(bigint, text, text, boolean, integer, bigint, bigint, bigint, text, text, text) is
  'Ends a call: books it with its object, direction and price, and moves the circuit breaker. Three failures in a row take the system down until a probe succeeds; a throttled answer makes everybody wait; a misconfigured one holds the system until a person resumes it, unless it was only a look (looked).';

create or replace function rowtwin_private.book_read(p_binding integer, p_records bigint) returns void
language sql volatile
set search_path = pg_catalog
as $$
  insert into rowtwin_private.usage as u (system, hour, object, direction, records)
  select b.system, date_trunc('hour', rowtwin_private.clock()), b.object, 'pull', p_records
  from rowtwin_private.binding b where b.id = p_binding and p_records > 0
  on conflict (system, hour, object, direction) do update set records = u.records + excluded.records
$$;
comment on function rowtwin_private.book_read(integer, bigint) is
  'Books records that were read, in the transaction that applies them; how many a page holds is known only after its call.';
