-- The slot was dropped while nobody looked. Every row is compared with what both sides last knew; nothing is lost.
insert into sales.customer (name, number) values ('Acme', 'C1'), ('Bolt', 'C2');
--! work
select state, wal_status, renewals, reason from rowtwin.slot;
--> idle | reserved | 0 |
select pg_drop_replication_slot(slot) from rowtwin.slot;
--> *
update sales.customer set phone = '13800000001' where number = 'C1';
delete from sales.customer where number = 'C2';
select state from rowtwin.slot;
--> missing
--! compare
select system, state, differing from rowtwin.recovery order by system;
--> crm | * | 2
--> erp | * | 2
select system, key, effect from rowtwin.journal where side = 'remote' and effect <> 'create' order by system, key;
--> crm | 1 | update
--> crm | 2 | delete
--> erp | 1 | update
--> erp | 2 | delete
select renewals from rowtwin.slot;
--> 1
