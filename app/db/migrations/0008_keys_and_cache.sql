-- Providers' keys that tenants bring themselves, sealed (app/vault.py); `hint` is what a person may see.
CREATE TABLE provider_key (
    id         text COLLATE "C" PRIMARY KEY,
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenant (id),
    provider   text NOT NULL,
    sealed     text NOT NULL,
    hint       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, provider)
);

-- Which job's answer stands for a request that comes again. The answer itself is the job's result: it
-- is never kept twice, and goes when the job is forgotten.
CREATE TABLE cached_answer (
    tenant_id  text COLLATE "C" NOT NULL,
    key        text NOT NULL,
    job_id     text COLLATE "C" NOT NULL REFERENCES job (id),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX cached_answer_expiry ON cached_answer (expires_at);
