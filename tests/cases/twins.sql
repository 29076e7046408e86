-- Two customers with one number: nothing is guessed. A person says which belongs to the record.
--! crm makes {"name": "Theirs", "account_no": "C1"}
insert into sales.customer (name, number) values ('One', 'C1'), ('Two', 'C1');
--! work
select row_keys, cardinality(remote_ids) as records, match_fields from rowtwin.ambiguous
where system = 'crm' order by row_keys;
--> {1} | 1 | {account_no}
--> {1,2} | 1 | {account_no}
--> {2} | 1 | {account_no}
update sales.customer set number = 'C2' where name = 'Two';
--! work
select count(*) from rowtwin.ambiguous where system = 'crm';
--> 0
select key, state from rowtwin.links where system = 'crm' order by key;
--> 1 | linked
--> 2 | linked
-- Twins that are none: neither side is changed.
select rowtwin.unlink('sales.customer', '2', 'crm');
--> *
select count(*) from rowtwin.links where system = 'crm';
--> 1
select rowtwin.link('sales.customer', '2', 'crm', (select crm_id from sales.customer where id = 2));
--> *
--! work
select count(*) from rowtwin.links where system = 'crm';
--> 2
