-- `job` and `result` are written once. Only `open_job` changes while a job lives, and its row is
-- gone when the job ends, so the table that is scanned and updated stays small.

CREATE TABLE job (
    id         text COLLATE "C" PRIMARY KEY,
    tenant_id  text COLLATE "C" NOT NULL,
    key_id     text COLLATE "C" NOT NULL,
    app_id     text NOT NULL,
    kind       text NOT NULL,
    lane       text NOT NULL,
    door       text NOT NULL CHECK (door IN ('sync', 'stream', 'background')),
    model      text NOT NULL,
    request    text NOT NULL,  -- the body as it came, JSON
    metadata   text,           -- JSON
    hold       bigint NOT NULL CHECK (hold >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX job_of_tenant ON job (tenant_id, id);

CREATE TABLE open_job (
    id         text COLLATE "C" PRIMARY KEY,
    tenant_id  text COLLATE "C" NOT NULL,
    lane       text NOT NULL,
    state      text NOT NULL CHECK (state IN ('queued', 'running')),
    start_tag  bigint NOT NULL,   -- virtual start time within the lane, see admit()
    attempt    int NOT NULL DEFAULT 0,
    strikes    int NOT NULL DEFAULT 0, -- attempts that ended in a crash or a cut stream
    hold       bigint NOT NULL,
    owner      text COLLATE "C",  -- the worker process that runs it
    cancel     boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    claimed_at timestamptz,
    started_at timestamptz,
    ring_at    timestamptz NOT NULL, -- when the bell is rung again if nobody has claimed it
    rings      int NOT NULL DEFAULT 0,
    deadline   timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);
CREATE INDEX open_job_turn ON open_job (lane, start_tag, id) WHERE state = 'queued';

CREATE TABLE result (
    id          text COLLATE "C" PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('completed', 'failed', 'cancelled', 'expired')),
    attempt     int NOT NULL,
    last_seq    int NOT NULL,  -- seq of the terminal event in the log of that attempt
    settled_by  text COLLATE "C" NOT NULL,
    body        text,          -- the completion, JSON
    error       text,          -- JSON
    usage       text,          -- JSON
    cost        bigint NOT NULL CHECK (cost >= 0),
    started_at  timestamptz,
    finished_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE attempt (
    job_id      text COLLATE "C" NOT NULL,
    attempt     int NOT NULL,
    owner       text COLLATE "C",
    outcome     text NOT NULL CHECK (outcome IN
                ('completed', 'failed', 'cancelled', 'interrupted', 'released', 'lost')),
    calls       text,          -- JSON: the provider calls with their outcome, times and tokens
    started_at  timestamptz,
    finished_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, attempt)
);

-- A worker process is alive while its lease is; its jobs are alive with it.
CREATE TABLE worker (
    id         text COLLATE "C" PRIMARY KEY,
    lane       text NOT NULL,
    host       text NOT NULL,
    pid        int NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE lane (
    name  text PRIMARY KEY,
    clock bigint NOT NULL DEFAULT 0 -- virtual time: the start tag of the job claimed last
) WITH (fillfactor = 50);
INSERT INTO lane (name) VALUES ('interactive'), ('background'), ('batch'), ('system');

CREATE TABLE turn (
    lane       text NOT NULL,
    tenant_id  text COLLATE "C" NOT NULL,
    finish_tag bigint NOT NULL,
    PRIMARY KEY (lane, tenant_id)
) WITH (fillfactor = 50);

-- When the reaper last ran, and since when it has run without a gap.
CREATE TABLE reaper (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    last_run      timestamptz NOT NULL,
    healthy_since timestamptz NOT NULL
) WITH (fillfactor = 50);
INSERT INTO reaper (last_run, healthy_since) VALUES (now(), now());

-- An Idempotency-Key and the job that it stands for. A key belongs to one tenant and one path.
CREATE TABLE idempotency (
    tenant_id  text COLLATE "C" NOT NULL,
    path       text NOT NULL,
    key        text COLLATE "C" NOT NULL,
    body_hash  text NOT NULL, -- sha256 of the body that came with it, hex
    job_id     text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, path, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);
