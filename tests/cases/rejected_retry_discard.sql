-- A wrong phone number is refused before it is sent; the other fields of other rows go on.
insert into sales.customer (name, number, phone) values ('Acme', 'C1', '12'), ('Bolt', 'C2', '13800000002');
--! work
select table_name, system, key, field from rowtwin.rejected;
--> sales.customer | crm | 1 | tel
-- Trying again does not help as long as the value is wrong.
select rowtwin.retry('sales.customer', '1');
--> 1
--! work
select count(*) from rowtwin.rejected;
--> 1
-- An edit does, by itself.
update sales.customer set phone = '13800000001' where number = 'C1';
--! work
select count(*) from rowtwin.rejected;
--> 0

-- Or the change is given up: the row keeps its value, the record keeps its own.
update sales.customer set phone = '34' where number = 'C2';
--! work
select rowtwin.discard('sales.customer', '2', 'crm');
--> 1
select count(*) from rowtwin.rejected;
--> 0
select shadow ->> 'tel' as known_to_both from rowtwin.links where system = 'crm' and key = '2';
--> 13800000002
select phone from sales.customer where number = 'C2';
--> 34
