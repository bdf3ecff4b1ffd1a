-- Postpaid tenants, corrections, provider costs, budgets, price versions.

-- A wallet may go below zero by `overdraft`: the limit of a postpaid tenant.
ALTER TABLE account
    ADD COLUMN overdraft bigint NOT NULL DEFAULT 0 CHECK (overdraft >= 0),
    DROP CONSTRAINT account_balance_check,
    ADD CONSTRAINT account_balance_check CHECK (balance >= -overdraft);

-- hold, settle, release: once a job, by the job line. credit, debit: by the operator. refund: gives
-- back some of a job's charge. reversal: undoes a credit, debit or refund, `reverses` it. cost: what
-- an attempt owes a provider, once an attempt and provider; the customer does not see it.
ALTER TABLE transfer
    ADD COLUMN attempt int,
    ADD COLUMN reverses bigint UNIQUE,
    ADD COLUMN actor text,
    DROP CONSTRAINT transfer_kind_check,
    DROP CONSTRAINT transfer_check1,
    DROP CONSTRAINT transfer_job_id_kind_key,
    ADD CONSTRAINT transfer_kind_check CHECK (kind IN
        ('hold', 'settle', 'release', 'credit', 'debit', 'refund', 'reversal', 'cost')),
    ADD CONSTRAINT transfer_job_check CHECK (
        kind = 'reversal' OR (job_id IS NULL) = (kind IN ('credit', 'debit'))),
    ADD CONSTRAINT transfer_reversal_check CHECK ((reverses IS NULL) = (kind <> 'reversal')),
    ADD CONSTRAINT transfer_attempt_check CHECK ((attempt IS NULL) = (kind <> 'cost')),
    ADD PRIMARY KEY (seq);
CREATE UNIQUE INDEX transfer_once ON transfer (job_id, kind)
    WHERE kind IN ('hold', 'settle', 'release');
CREATE UNIQUE INDEX transfer_cost_once ON transfer (job_id, attempt, credit) WHERE kind = 'cost';
CREATE INDEX transfer_refund ON transfer (job_id) WHERE kind IN ('refund', 'reversal');
CREATE INDEX transfer_of_tenant ON transfer (tenant_id, seq) WHERE kind <> 'cost';

-- What a price version on a result stands for: nano-dollars per million tokens.
CREATE TABLE price (
    version      text COLLATE "C" PRIMARY KEY,
    model        text NOT NULL,
    provider     text NOT NULL,
    input        bigint NOT NULL,
    cached_input bigint NOT NULL,
    output       bigint NOT NULL,
    source       text NOT NULL,
    since        timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE job
    ADD COLUMN reserved bigint NOT NULL DEFAULT 0, -- tokens reserved of the day's limit
    ADD COLUMN session text,                       -- the named session whose lease it shares
    ADD COLUMN holds_session boolean NOT NULL DEFAULT false,
    ADD COLUMN store boolean NOT NULL DEFAULT true, -- false: forgotten once delivered
    ADD COLUMN forgotten_at timestamptz;           -- when request and answer were deleted

ALTER TABLE result
    ADD COLUMN provider text, -- who answered
    ADD COLUMN price text COLLATE "C",
    ADD COLUMN prompt_tokens bigint NOT NULL DEFAULT 0, -- the cached ones among them
    ADD COLUMN cached_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN completion_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN platform_cost bigint NOT NULL DEFAULT 0; -- of the last attempt

ALTER TABLE attempt ADD COLUMN platform_cost bigint NOT NULL DEFAULT 0;

-- What may be spent in a day or month (UTC). `spent` counts from `period_start`; `held` is what open
-- jobs may still cost. `open_job.budgets` names those that hold for a job, with a space between.
CREATE TABLE budget (
    id           text COLLATE "C" PRIMARY KEY,
    tenant_id    text COLLATE "C" NOT NULL REFERENCES tenant (id),
    scope        text NOT NULL CHECK (scope IN ('tenant', 'app', 'key')),
    subject      text COLLATE "C" NOT NULL, -- an app's or key's id; the tenant's own otherwise
    period       text NOT NULL CHECK (period IN ('day', 'month')),
    soft         bigint CHECK (soft > 0), -- from here on: a header, and one webhook a period
    hard         bigint CHECK (hard > 0), -- never more than this: 402
    spent        bigint NOT NULL DEFAULT 0,
    held         bigint NOT NULL DEFAULT 0,
    period_start date NOT NULL,
    warned_for   date, -- the period whose warning was sent
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, scope, subject, period),
    CHECK (soft IS NOT NULL OR hard IS NOT NULL)
) WITH (fillfactor = 50);

ALTER TABLE open_job ADD COLUMN budgets text;

-- What happened that a tenant's webhooks are told. Its deliveries are made from `dispatched_at` NULL.
CREATE TABLE webhook_event (
    id            text COLLATE "C" PRIMARY KEY,
    tenant_id     text COLLATE "C" NOT NULL REFERENCES tenant (id),
    type          text NOT NULL,
    data          text NOT NULL, -- JSON
    created_at    timestamptz NOT NULL DEFAULT now(),
    dispatched_at timestamptz
);
CREATE INDEX webhook_event_waiting ON webhook_event (created_at) WHERE dispatched_at IS NULL;
