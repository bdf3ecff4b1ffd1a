-- A conversation that goes on in a browser, at an address that whoever has it may use.

-- It pays as the key that asked for it, ends with that key, and spends `budget` at most. What was said
-- stands in the jobs alone, so it is gone from here when they are forgotten.
CREATE TABLE web_chat (
    id         text COLLATE "C" PRIMARY KEY,
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenant (id),
    key_id     text COLLATE "C" NOT NULL,
    job_id     text COLLATE "C" NOT NULL UNIQUE, -- the completion that it goes on from
    hash       bytea NOT NULL UNIQUE,            -- sha256 of the token
    sealed     text NOT NULL,                    -- the token for those who fetch the answer again (app/vault.py)
    budget     bigint NOT NULL CHECK (budget >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX web_chat_of_tenant ON web_chat (tenant_id, id);

-- What the visitor said, a job each. `key`: the page's Idempotency-Key.
CREATE TABLE web_chat_turn (
    web_chat_id text COLLATE "C" NOT NULL REFERENCES web_chat (id) ON DELETE CASCADE,
    ordinal     int NOT NULL CHECK (ordinal > 0),
    job_id      text COLLATE "C" NOT NULL UNIQUE,
    key         text COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (web_chat_id, ordinal),
    UNIQUE (web_chat_id, key)
);
