-- Who may call, and what they have. Ids are prefixed text, compared byte by byte.

CREATE TABLE tenant (
    id         text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_key (
    id           text COLLATE "C" PRIMARY KEY,
    tenant_id    text COLLATE "C" NOT NULL REFERENCES tenant (id),
    name         text NOT NULL,
    prefix       text NOT NULL,
    hash         bytea NOT NULL UNIQUE, -- sha256 of the key; the key itself is shown once and not kept
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz,
    last_used_at timestamptz
);

-- An account's id is its tenant and kind, `ten_…/wallet` or `ten_…/held`. Revenue and funding are
-- the platform's: `platform/revenue`, `platform/funding`; they have no row here, since a row that
-- every settlement updates would make all of them wait for one another. They are summed.
CREATE TABLE account (
    id        text COLLATE "C" PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL REFERENCES tenant (id),
    kind      text NOT NULL CHECK (kind IN ('wallet', 'held')),
    balance   bigint NOT NULL DEFAULT 0 CHECK (balance >= 0)
) WITH (fillfactor = 50);

-- Double entry: a row debits one account and credits another by the same nano-dollars.
CREATE TABLE transfer (
    seq        bigint GENERATED ALWAYS AS IDENTITY,
    job_id     text COLLATE "C",
    tenant_id  text COLLATE "C" NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('hold', 'settle', 'release', 'credit')),
    debit      text COLLATE "C" NOT NULL,
    credit     text COLLATE "C" NOT NULL,
    amount     bigint NOT NULL CHECK (amount >= 0),
    note       text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (debit <> credit),
    CHECK ((job_id IS NULL) = (kind = 'credit')),
    UNIQUE (job_id, kind)
);

CREATE FUNCTION transfer_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a transfer is never changed; post a reversal instead';
END $$;

CREATE TRIGGER transfer_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION transfer_is_immutable();
