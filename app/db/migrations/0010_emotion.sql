-- How sessions feel. A feeling is {valence, arousal, dominance}: `baseline` plus `deviation`, which
-- fades from its time `at`, plus what is left of the ripples. `seq` numbers the last event.

CREATE TABLE emotion_session (
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenant (id),
    session_id text COLLATE "C" NOT NULL,
    asked      jsonb NOT NULL, -- traits that requests named for it
    traits     jsonb NOT NULL, -- all that it has
    baseline   float8[] NOT NULL CHECK (cardinality(baseline) = 3),
    deviation  float8[] NOT NULL DEFAULT '{0,0,0}' CHECK (cardinality(deviation) = 3),
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    seq        bigint NOT NULL DEFAULT 0,
    turns      bigint NOT NULL DEFAULT 0,
    active_at  timestamptz, -- its last turn, or ripple of its own
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, session_id)
) WITH (fillfactor = 70);
CREATE INDEX emotion_session_active ON emotion_session (active_at);

-- What happened to a session. The oldest lines are dropped when there are many. A job that is begun
-- anew finds its line and adds none.
CREATE TABLE emotion_history (
    tenant_id  text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    seq        bigint NOT NULL,
    at         timestamptz NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('turn', 'ripple', 'contagion', 'reset')),
    emotion    text NOT NULL,
    trigger    text NOT NULL,
    intensity  float8 NOT NULL CHECK (intensity BETWEEN 0 AND 1),
    impulse    float8[] NOT NULL CHECK (cardinality(impulse) = 3),
    duration   float8 CHECK (duration > 0), -- seconds
    deviation  float8[] NOT NULL CHECK (cardinality(deviation) = 3), -- after it
    state      float8[] NOT NULL CHECK (cardinality(state) = 3),     -- as it was shown after it
    job_id     text COLLATE "C",
    PRIMARY KEY (tenant_id, session_id, seq),
    FOREIGN KEY (tenant_id, session_id) REFERENCES emotion_session ON DELETE CASCADE,
    CHECK ((duration IS NULL) = (kind IN ('turn', 'reset')))
);
CREATE UNIQUE INDEX emotion_history_once ON emotion_history (tenant_id, job_id, session_id)
    WHERE job_id IS NOT NULL;
CREATE INDEX emotion_history_at ON emotion_history (at);

-- Ripples that have not ended, and some that have: those go with the session's next event.
CREATE TABLE emotion_ripple (
    tenant_id  text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    seq        bigint NOT NULL, -- of the event that began it
    vector     float8[] NOT NULL CHECK (cardinality(vector) = 3),
    start_at   timestamptz NOT NULL,
    duration   float8 NOT NULL CHECK (duration > 0), -- seconds
    PRIMARY KEY (tenant_id, session_id, seq),
    FOREIGN KEY (tenant_id, session_id) REFERENCES emotion_session ON DELETE CASCADE
);
