-- Batches: many requests of one endpoint, each an ordinary job, of which a window is in flight.

CREATE TABLE batch (
    id                text COLLATE "C" PRIMARY KEY,
    tenant_id         text COLLATE "C" NOT NULL REFERENCES tenant (id),
    key_id            text COLLATE "C" NOT NULL,
    app_id            text NOT NULL,
    test              boolean NOT NULL,  -- made with a test key: builtin models, no money
    endpoint          text NOT NULL,
    input_file_id     text COLLATE "C",  -- NULL: the requests came with the batch itself
    input_job_id      text COLLATE "C",  -- the job whose request they are in
    retry_of          text COLLATE "C",  -- the first batch, whose lines that have failed these are
    completion_window text NOT NULL,
    priority          int NOT NULL,
    metadata          text,              -- JSON
    output_ttl_s      int,               -- how long its files are kept; NULL: as long as others
    status            text NOT NULL DEFAULT 'validating' CHECK (status IN
                      ('validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired',
                       'cancelling', 'cancelled')),
    ends_as           text CHECK (ends_as IN ('completed', 'expired', 'cancelled')),
    chore_id          text COLLATE "C" NOT NULL, -- the job that checks its lines or writes its files
    turn              int NOT NULL DEFAULT 0,    -- grows with that job and its attempts: a fence
    model             text,
    errors            text,              -- JSON: why its lines were refused
    total             int NOT NULL DEFAULT 0,
    dispatched        int NOT NULL DEFAULT 0,
    completed         int NOT NULL DEFAULT 0,
    failed            int NOT NULL DEFAULT 0,
    hold              bigint NOT NULL DEFAULT 0, -- what all its lines may cost
    cost              bigint NOT NULL DEFAULT 0,
    prompt_tokens     bigint NOT NULL DEFAULT 0,
    cached_tokens     bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    reasoning_tokens  bigint NOT NULL DEFAULT 0,
    budgets           text,              -- those that hold for it, with a space between
    rate              float8 NOT NULL DEFAULT 0, -- lines ended a second, of late
    counted_at        timestamptz NOT NULL DEFAULT now(),
    output_file_id    text COLLATE "C",
    error_file_id     text COLLATE "C",
    created_at        timestamptz NOT NULL DEFAULT now(),
    run_at            timestamptz,       -- no line is dispatched before; NULL: at once
    expires_at        timestamptz NOT NULL,
    in_progress_at    timestamptz,
    finalizing_at     timestamptz,
    cancelling_at     timestamptz,
    ended_at          timestamptz
) WITH (fillfactor = 50);
CREATE INDEX batch_of_tenant ON batch (tenant_id, id);
CREATE INDEX batch_live ON batch (tenant_id) WHERE ended_at IS NULL;
CREATE INDEX batch_retry ON batch (retry_of) WHERE retry_of IS NOT NULL;

-- The lines that wait. One that is dispatched becomes a job and is gone from here in the same
-- transaction; one that never runs stays until the batch has ended.
CREATE TABLE batch_line (
    batch_id  text COLLATE "C" NOT NULL,
    line      int NOT NULL,      -- its number in the input, from 1
    custom_id text NOT NULL,
    kind      text NOT NULL,
    model     text NOT NULL,
    request   text NOT NULL,
    metadata  text,
    session   text,
    store     boolean NOT NULL,
    hold      bigint NOT NULL CHECK (hold >= 0),
    PRIMARY KEY (batch_id, line)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The lines in flight: jobs whose end the batch has not counted yet.
CREATE TABLE batch_flight (
    batch_id text COLLATE "C" NOT NULL,
    job_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (batch_id, job_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

ALTER TABLE job
    ADD COLUMN batch_id text COLLATE "C", -- the batch of which it is a line
    ADD COLUMN line int,
    ADD COLUMN custom_id text;
CREATE UNIQUE INDEX job_of_batch ON job (batch_id, line) WHERE batch_id IS NOT NULL;

-- A batch's hold stands on an account of its own, `ten_…/batch_…`, until its lines take it from there.
ALTER TABLE account
    DROP CONSTRAINT account_kind_check,
    ADD CONSTRAINT account_kind_check CHECK (kind IN ('wallet', 'held', 'batch'));
CREATE INDEX account_of_tenant ON account (tenant_id);
