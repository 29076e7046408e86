-- The table that rowtwin.yaml binds.
create schema if not exists sales;
create table if not exists sales.customer (
  id bigint generated always as identity primary key,
  code text unique,
  name text,
  phone text,
  credit numeric,
  active boolean,
  last_order timestamptz,
  warehouse_id text
);
