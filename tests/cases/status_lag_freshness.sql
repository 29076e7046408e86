-- How do the tables stand? One line per binding in status, only what is behind in lag, one line per table in freshness.
insert into sales.customer (name, number) values ('Acme', 'C1'), ('Bolt', 'C2');
--! work
select table_name, system, state, linked, waiting, rejected from rowtwin.status order by system;
--> sales.customer | crm | running | 2 | 0 | 0
--> sales.customer | erp | running | 2 | 0 | 0
select table_name, complete from rowtwin.freshness;
--> sales.customer | t

-- The ERP is switched off for the night: its rows wait, the CRM goes on.
--! erp down
update sales.customer set phone = '13800000001';
--! work
select system, state, waiting from rowtwin.status order by system;
--> crm | running | 0
--> erp | system down | 2
select name, down_since is not null as does_not_answer from rowtwin.systems order by name;
--> crm | f
--> erp | t
select system, to_remote from rowtwin.lag where to_remote > 0;
--> erp | 2
