-- Documents: records that hold lines.

alter table rowtwin_private.link
  add column if not exists lines_sent    jsonb,
  add column if not exists lines_sent_at timestamptz,
  add constraint link_lines_sent check ((lines_sent is null) = (lines_sent_at is null));
comment on column rowtwin_private.link.lines_sent is 'Lines that an update was about to add, by collection. While they are here, a line of the record that nobody knows may be one of them.';
comment on column rowtwin_private.link.lines_sent_at is 'When lines_sent were about to be sent; for the doubt window of the binding they may still turn up.';
