-- A create whose answer was lost in a system where nothing can be looked up: a person looks, and says what became of it.
--! crm match: []
--! work
--! crm fault lost-answer@create
insert into sales.customer (name, number) values ('Acme', 'C1');
--! work
select table_name, system, key from rowtwin.doubtful;
--> sales.customer | crm | 1
-- "I have looked: it is not there." Only then it is made again.
--! crm removes C1
select rowtwin.resolve_doubt('sales.customer', '1', 'crm', null);
--> *
--! work
select count(*) from rowtwin.doubtful;
--> 0
select state from rowtwin.links where system = 'crm';
--> linked
