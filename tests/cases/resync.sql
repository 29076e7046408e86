-- After a restored remote, or a doubt: everything is compared again, and only what differs is sent.
insert into sales.customer (name, number) values ('Acme', 'C1'), ('Bolt', 'C2');
--! work
select rowtwin.resync('sales.customer');
--> 2
select distinct state from rowtwin.status;
--> backfilling
--! work
select distinct state from rowtwin.status;
--> running
select count(*) from rowtwin.journal where effect = 'update' and side = 'remote';
--> 0
select rowtwin.resync('sales.nothing');
--x sales.nothing
