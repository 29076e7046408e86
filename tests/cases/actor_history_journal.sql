-- Who changed this phone number?
insert into sales.customer (name, number, phone) values ('Acme', 'C1', '13800000001');
--! work
begin;
select rowtwin.set_actor('li.wei');
update sales.customer set phone = '13800000002';
commit;
--! work
--! crm sets C1 {"tel": "13800000003"}
--! poll
select effect, side, before ->> 'tel' as was, after ->> 'tel' as becomes, actor from rowtwin.journal
where system = 'crm' and side <> 'link' order by at;
--> create | remote |  | 13800000001 | *
--> update | remote | 13800000001 | 13800000002 | li.wei
--> update | row | 13800000002 | 13800000003 | *
select system, fields, who from rowtwin.history('sales.customer', '1') where who = 'li.wei' order by system;
--> crm | *13800000001*13800000002* | li.wei
--> erp | *13800000001*13800000002* | li.wei
