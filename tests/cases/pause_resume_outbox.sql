-- A maintenance window: nothing is sent to the ERP, changes go on being collected.
--! work
select rowtwin.pause('erp');
--> erp is paused*
insert into sales.customer (name, number) values ('Acme', 'C1');
update sales.customer set phone = '13800000001';
--! work
select system, key, state from rowtwin.outbox;
--> erp | 1 | ready
select system, state from rowtwin.status order by system;
--> crm | running
--> erp | system paused

-- Afterwards one record is made, with the last value only.
select rowtwin.resume('erp');
--> erp is running
--! work
select system, key, state from rowtwin.outbox;
-->
select system, effect, after ->> 'FTEL' as phone from rowtwin.journal where system = 'erp' and side = 'remote';
--> erp | create | 13800000001
select rowtwin.pause('nobody');
--x nobody
