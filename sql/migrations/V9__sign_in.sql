-- Secrets that a system replaces whenever they are used: refresh tokens that rotate.

create table rowtwin_private.sign_in (
  system     text primary key,
  generation bigint not null default 0,
  sealed     bytea,
  holder     uuid,
  held_until timestamptz,
  sent_at    timestamptz,
  changed_at timestamptz not null default now(),
  constraint sign_in_holder_check check ((holder is null) = (held_until is null)),
  constraint sign_in_sealed_check check (generation = 0 or sealed is not null)
);
comment on table rowtwin_private.sign_in is 'Per system whose sign-in replaces a secret with each use (a refresh token that rotates): what it gave last, and who renews it at this moment. What is kept here is encrypted with a key made of the secret that the configuration names, which is not in the database: neither a reader of this table nor a dump can sign in with it. Only the owner and rowtwin_service may read the table. Emptying it means signing in by the configured secret again.';
comment on column rowtwin_private.sign_in.generation is 'Counts what was kept: 0 is nothing yet. Something new is kept only behind the generation that it came from.';
comment on column rowtwin_private.sign_in.sealed is 'The secrets and the token of the last sign-in: AES-256-GCM, nonce first. The key is HKDF-SHA256 of the configured secret; another configured secret cannot open it, and starts anew.';
comment on column rowtwin_private.sign_in.holder is 'Who signs in at this moment; the others wait until the lease (held_until) is given back or over.';
comment on column rowtwin_private.sign_in.sent_at is 'A sign-in was sent then whose answer is not known: set before it goes out, cleared by its answer. If the system refuses the next one, the new secret was in the lost answer.';
