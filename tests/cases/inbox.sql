-- A record of the CRM that the table does not take: it waits with the reason and stops nobody else.
alter table sales.customer add constraint no_bolts check (name <> 'Bolt');
--! crm makes {"name": "Bolt", "account_no": "C1"}
--! crm makes {"name": "Acme", "account_no": "C2"}
--! work
select name from sales.customer;
--> Acme
select system, state, reason like '%no_bolts%' as says_which from rowtwin.inbox;
--> crm | rejected | t
-- The DBA changes the table, and the record is read again.
alter table sales.customer drop constraint no_bolts;
select rowtwin.retry('sales.customer');
--> 1
--! work
select name from sales.customer order by name;
--> Acme
--> Bolt
select count(*) from rowtwin.inbox;
--> 0
