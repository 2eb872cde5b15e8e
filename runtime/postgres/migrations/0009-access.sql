-- Who may ask the API for what, and who asked for it.

-- A key is shown once, when it is made: what is kept is its SHA-256, which nothing can be made of.
create table taskiq.api_key (
  -- The part of the key that is no secret.
  id           text primary key,
  hash         bytea not null,
  name         text not null,
  tenant       text not null,
  scopes       text[] not null,
  -- Two keys of one name may live at a time: a new one is in use everywhere before the old one goes.
  slot         smallint not null,
  created_at   timestamptz not null default now(),
  created_by   text not null,
  -- Null: never.
  expires_at   timestamptz,
  revoked_at   timestamptz,
  revoked_by   text,
  -- To the minute.
  last_used_at timestamptz,
  constraint hash_is_sha256 check (octet_length(hash) = 32),
  constraint scopes_known check (scopes <@ array['enqueue', 'read', 'operate', 'command', 'admin'] and scopes <> '{}'),
  constraint slot_known check (slot in (1, 2))
);
-- Not luck: the third key of a name fails, whatever was seen before.
create unique index two_live_keys_per_name on taskiq.api_key (tenant, name, slot) where revoked_at is null;
create index api_key_by_tenant on taskiq.api_key (tenant, created_at);
comment on index taskiq.api_key_by_tenant is 'list-keys.sql: the keys of a tenant, newest first';

-- What was done to the work of others. A row is written in the transaction of what it tells of.
create table taskiq.audit (
  id     bigserial primary key,
  at     timestamptz not null default now(),
  -- The id of a key, `anonymous` where none is asked for, or `keygen`.
  actor  text not null,
  tenant text not null,
  action text not null,
  -- What it was done to: the id of a task or of a key, the name of a queue; null: to what the detail describes.
  target text,
  detail json
);
create index audit_by_tenant on taskiq.audit (tenant, id);
comment on index taskiq.audit_by_tenant is 'read-tenant-audit.sql: what was done in a tenant, latest first';
create index audit_age on taskiq.audit (at);
comment on index taskiq.audit_age is 'prune-audit.sql: oldest first';
