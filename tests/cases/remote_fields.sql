-- Which fields does the CRM have that nobody has mapped yet?
--! describe
select field, mapped from rowtwin.remote_fields where system = 'crm' and field in ('name', 'tel', 'field_credit__c') order by field;
--> field_credit__c | f
--> name | t
--> tel | t
