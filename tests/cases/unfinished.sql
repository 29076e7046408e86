-- A customer of the ERP is saved, submitted and audited. The last step is refused: it stands there until somebody mends it.
--! erp binding: , lifecycle: {until: audited}
--! work
--! erp fault error:11@Auditx*
insert into sales.customer (name, number) values ('Acme', 'C1');
--! work
select table_name, system, key, stage, step, state from rowtwin.unfinished;
--> sales.customer | erp | 1 | B | audit | rejected
--! erp well
select rowtwin.retry('sales.customer', '1', 'erp');
--> 1
--! work
select count(*) from rowtwin.unfinished;
--> 0
select stage from rowtwin.links where system = 'erp';
--> C
