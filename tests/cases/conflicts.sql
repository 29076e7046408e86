-- Two people change one phone number at the same time, one in SQL and one in the CRM: nobody is overwritten.
--! crm binding: , policy: manual
insert into sales.customer (name, number, phone) values ('Acme', 'C1', '13800000001');
--! work
update sales.customer set phone = '13800000002';
--! crm sets C1 {"tel": "13800000003"}
--! poll
select field, was, row_value, record_value, winner, policy from rowtwin.conflicts where resolved_at is null;
--> tel | "13800000001" | "13800000002" | "13800000003" | held | manual
-- Somebody asks the customer and decides.
select rowtwin.resolve_conflict((select id from rowtwin.conflicts), 'record');
--> *
--! work
select phone from sales.customer;
--> 13800000003
select count(*) from rowtwin.conflicts where resolved_at is null;
--> 0
