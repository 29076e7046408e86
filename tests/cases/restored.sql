-- The database was restored from last night's backup: nothing is sent before a person has said which side is right.
insert into sales.customer (name, number, phone) values ('Acme', 'C1', '13800000001');
--! work
--! restored
--! compare
select distinct state from rowtwin.status;
--> system held
select rowtwin.resume('crm');
--x which side is right
select rowtwin.accept_restored('records');
--> *
--! compare
select distinct state from rowtwin.status;
--> running
