-- Feedback on answers, and the traits that it moves within bounds. A trait is the operator's baseline
-- plus a tenant's drift. Both, and the bounds, are whole millionths, so that each bound is exact.

-- A rating of a job's answer, -1 to 1. One stands for a job: a later one replaces it. `model` and
-- `provider` are those of the answer, for what learns from ratings. `reason` and `correction` may
-- quote the content, and go with it.
CREATE TABLE feedback (
    id          text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL REFERENCES tenant (id),
    job_id      text COLLATE "C" NOT NULL,
    key_id      text COLLATE "C" NOT NULL, -- who gave it
    kind        text NOT NULL,             -- of the job
    model       text NOT NULL,
    provider    text,
    rating      float8 NOT NULL CHECK (rating BETWEEN -1 AND 1),
    traits      text,                      -- JSON: the traits that it names, and 'more' or 'less'
    reason      text,
    correction  text,
    weighed     text,                      -- JSON: how far it moved the importance of memories, by id
    created_at  timestamptz NOT NULL DEFAULT now(),
    replaced_by text COLLATE "C"
);
CREATE UNIQUE INDEX feedback_standing ON feedback (job_id) WHERE replaced_by IS NULL;
CREATE INDEX feedback_of_job ON feedback (job_id);
CREATE INDEX feedback_of_tenant ON feedback (tenant_id, id);

CREATE FUNCTION forget_feedback() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE feedback SET reason = NULL, correction = NULL WHERE job_id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER feedback_forgotten AFTER UPDATE OF forgotten_at ON job
    FOR EACH ROW WHEN (OLD.forgotten_at IS NULL AND NEW.forgotten_at IS NOT NULL)
    EXECUTE FUNCTION forget_feedback();

-- Its row is locked by whoever moves a tenant's traits, so they are moved one after the other.
CREATE TABLE evolution (
    tenant_id text COLLATE "C" PRIMARY KEY REFERENCES tenant (id),
    changes   bigint NOT NULL DEFAULT 0 -- seq of the last change
) WITH (fillfactor = 50);

-- How far a trait has drifted, and the terms that it was moved under. `day_start`: the drift that the
-- day (UTC) began with.
CREATE TABLE trait_drift (
    tenant_id   text COLLATE "C" NOT NULL REFERENCES tenant (id),
    trait       text COLLATE "C" NOT NULL,
    baseline    int NOT NULL CHECK (baseline BETWEEN 0 AND 1000000),
    bound_total int NOT NULL CHECK (bound_total >= 0),
    bound_daily int NOT NULL CHECK (bound_daily >= 0),
    drift       int NOT NULL,
    day         date NOT NULL,
    day_start   int NOT NULL,
    PRIMARY KEY (tenant_id, trait),
    CONSTRAINT drift_in_total CHECK (abs(drift) <= bound_total),
    CONSTRAINT drift_of_day CHECK (abs(drift - day_start) <= bound_daily),
    CONSTRAINT drift_is_a_trait CHECK (baseline + drift BETWEEN 0 AND 1000000)
) WITH (fillfactor = 50);

-- Each move of a trait, in order, under the same bounds. feedback: an adaptation. replaced: what a
-- replaced feedback had moved is taken back. rollback: the tenant undid adaptations. bound: the
-- operator's new terms. `kept`: what of an adaptation still stands; a trait's sum of it is its drift.
CREATE TABLE trait_change (
    id          text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL REFERENCES tenant (id),
    seq         bigint NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('feedback', 'replaced', 'rollback', 'bound')),
    trait       text COLLATE "C" NOT NULL,
    baseline    int NOT NULL CHECK (baseline BETWEEN 0 AND 1000000),
    bound_total int NOT NULL CHECK (bound_total >= 0),
    bound_daily int NOT NULL CHECK (bound_daily >= 0),
    before      int NOT NULL,
    after       int NOT NULL,
    day         date NOT NULL,
    day_start   int NOT NULL,
    kept        int NOT NULL,
    undone_by   text COLLATE "C",          -- the change that took it back
    feedback_id text COLLATE "C" REFERENCES feedback (id),
    actor       text COLLATE "C",          -- the key that rolled back
    at          timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, seq),
    CONSTRAINT change_in_total CHECK (abs(after) <= bound_total),
    CONSTRAINT change_of_day CHECK (abs(after - day_start) <= bound_daily),
    CONSTRAINT change_is_a_trait CHECK (baseline + after BETWEEN 0 AND 1000000),
    CONSTRAINT change_has_a_cause CHECK ((feedback_id IS NOT NULL) = (kind IN ('feedback', 'replaced'))),
    CONSTRAINT change_keeps_its_own CHECK (
        CASE WHEN kind = 'feedback'
        THEN kept BETWEEN least(0, after - before) AND greatest(0, after - before)
        ELSE kept = 0 END)
);
CREATE INDEX trait_change_standing ON trait_change (tenant_id, trait, seq) WHERE kept <> 0;
CREATE INDEX trait_change_of_feedback ON trait_change (feedback_id);

CREATE FUNCTION trait_change_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what moved a trait is never rewritten; roll it back instead';
END $$;

CREATE TRIGGER trait_change_not_deleted BEFORE DELETE OR TRUNCATE ON trait_change
    FOR EACH STATEMENT EXECUTE FUNCTION trait_change_is_kept();

CREATE TRIGGER trait_change_not_rewritten BEFORE UPDATE OF
    id, tenant_id, seq, kind, trait, baseline, bound_total, bound_daily, before, after, day,
    day_start, feedback_id, actor, at ON trait_change
    FOR EACH STATEMENT EXECUTE FUNCTION trait_change_is_kept();
