-- A delete in SQL waits for somebody to approve it; the ERP keeps its records anyway.
--! crm binding: , deletes: {approve: true}
--! erp binding: , deletes: {to_remote: keep}
insert into sales.customer (name, number) values ('Acme', 'C1'), ('Bolt', 'C2');
--! work
delete from sales.customer;
--! work
select system, key, hold, effect from rowtwin.approvals order by key;
--> crm | 1 | approval | *
--> crm | 2 | approval | *
select rowtwin.reject('sales.customer', '1', 'crm', 'they still owe us');
--> 1
select key, reason like '%they still owe us%' as with_the_reason from rowtwin.rejected;
--> 1 | t
select rowtwin.approve('sales.customer', '2', 'crm');
--> 1
--! work
select key, effect from rowtwin.journal where system = 'crm' and side = 'remote' and effect = 'delete';
--> 2 | delete
select count(*) from rowtwin.approvals;
--> 0
