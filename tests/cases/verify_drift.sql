-- Are both sides really the same? A verification reads everything and lists what differs.
insert into sales.customer (name, number, phone) values ('Acme', 'C1', '13800000001');
--! work
--! crm sets C1 {"tel": "13800000009"}
select rowtwin.verify('sales.customer', 'crm');
--> 1
--! verify
select table_name, system, state, differing from rowtwin.verification;
--> sales.customer | crm | * | 1
select kind, key, fields, row_value ->> 'tel' as row_has, record_value ->> 'tel' as record_has from rowtwin.drift;
--> record differs | 1 | {tel} | 13800000001 | 13800000009
-- Who changed it, wins: that is how it is mended.
select rowtwin.verify('sales.customer', 'crm', 'merge');
--> 1
--! verify
--! work
select phone from sales.customer;
--> 13800000009
