-- Who may do what, and how much of it. NULL in a limit: the tier's, or for a key the tenant's.

ALTER TABLE tenant
    ADD COLUMN tier text NOT NULL DEFAULT 'enterprise',
    ADD COLUMN requests_per_minute bigint CHECK (requests_per_minute > 0),
    ADD COLUMN tokens_per_day bigint CHECK (tokens_per_day > 0),
    ADD COLUMN sessions int CHECK (sessions > 0),
    ADD COLUMN retention_days int CHECK (retention_days BETWEEN 1 AND 3650),
    ADD COLUMN disabled_at timestamptz;

-- An application of a tenant: what X-App-ID names. A job may name one that has no row.
CREATE TABLE app (
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenant (id),
    id         text COLLATE "C" NOT NULL,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);

-- People who sign in to the console. `role` says which scopes their sessions get.
CREATE TABLE console_user (
    id            text COLLATE "C" PRIMARY KEY,
    tenant_id     text COLLATE "C" NOT NULL REFERENCES tenant (id),
    email         text NOT NULL,
    role          text NOT NULL CHECK (role IN ('admin', 'owner', 'member', 'viewer')),
    password_hash text NOT NULL, -- salted and slow, unlike a key's: people choose passwords
    created_at    timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz
);
CREATE UNIQUE INDEX console_user_email ON console_user (lower(email));

ALTER TABLE api_key
    ADD COLUMN mode text NOT NULL DEFAULT 'live' CHECK (mode IN ('live', 'test')),
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{inference,billing,manage}',
    ADD COLUMN app_id text, -- the app of requests that name none
    ADD COLUMN requests_per_minute bigint CHECK (requests_per_minute > 0),
    ADD COLUMN tokens_per_day bigint CHECK (tokens_per_day > 0),
    ADD COLUMN sessions int CHECK (sessions > 0),
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN created_by text NOT NULL DEFAULT 'cli', -- a key's id, or 'cli'
    ADD COLUMN rotated_to text COLLATE "C",            -- the key that took its place
    ADD COLUMN user_id text COLLATE "C" REFERENCES console_user (id); -- set: a person's session
CREATE INDEX api_key_by_prefix ON api_key (prefix);
CREATE INDEX api_key_of_tenant ON api_key (tenant_id, id);

-- Every change to what this and the next migration hold. `actor`: a key's or user's id, or 'cli'.
CREATE TABLE audit (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT now(),
    actor     text NOT NULL,
    tenant_id text COLLATE "C",
    action    text NOT NULL, -- for example 'key.revoke'
    target    text NOT NULL, -- the id of what was changed
    detail    text           -- JSON: what it is now; never a secret
);
CREATE INDEX audit_of_tenant ON audit (tenant_id, seq);

CREATE FUNCTION audit_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is never changed';
END $$;

CREATE TRIGGER audit_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_immutable();

-- Answers to POSTs that make no job, kept for their Idempotency-Keys. `body` is encrypted with a key
-- that only the caller's credential yields, since an answer may show a secret once.
CREATE TABLE idempotent_answer (
    tenant_id  text COLLATE "C" NOT NULL,
    path       text NOT NULL,
    key        text COLLATE "C" NOT NULL,
    body_hash  text NOT NULL,
    status     int NOT NULL,
    body       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, path, key)
);
CREATE INDEX idempotent_answer_by_age ON idempotent_answer (created_at);
