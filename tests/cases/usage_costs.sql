-- What did it cost today, and what was saved?
insert into sales.customer (name, number) select 'Name ' || i, 'C' || i from generate_series(1, 20) i;
--! work
update sales.customer set phone = '13800000001';
update sales.customer set phone = '13800000002';
--! work
select system, direction, sum(records) from rowtwin.costs where direction = 'push' group by 1, 2 order by 1;
--> crm | push | 40
--> erp | push | 40
-- Twenty rows travel in one call where the system takes batches.
select system, sum(saved_by_batching) > 30 as batched from rowtwin.costs group by 1 order by 1;
--> crm | f
--> erp | t
select system, sum(calls) >= 40 as a_call_each, sum(errors) from rowtwin.usage group by 1 order by 1;
--> crm | t | 0
--> erp | f | 0
select name, calls_today > 0 as asked, errors_today from rowtwin.systems order by name;
--> crm | t | 0
--> erp | t | 0
