-- Least privilege: nobody but the owner, until a role is given the right.
revoke all on schema rowtwin, rowtwin_private from public;
revoke all on all tables in schema rowtwin, rowtwin_private from public;
revoke all on all functions in schema rowtwin, rowtwin_private from public;
