-- Jobs that wait for their time, and jobs that are made again out of others.

-- A job that is scheduled has its hold, but is in no lane before `run_at`: claims, bounds and places in
-- the queue do not see it. `not_after`: when it is no longer to be begun.
ALTER TABLE job
    ADD COLUMN run_at timestamptz,
    ADD COLUMN not_after timestamptz,
    ADD COLUMN retry_of text COLLATE "C";
ALTER TABLE open_job
    ADD COLUMN run_at timestamptz,
    ADD COLUMN not_after timestamptz,
    DROP CONSTRAINT open_job_state_check,
    ADD CONSTRAINT open_job_state_check CHECK (state IN ('scheduled', 'queued', 'running'));

-- All three hold only the few jobs that they are for: other jobs do not write to them.
CREATE INDEX open_job_due ON open_job (run_at) WHERE state = 'scheduled';
CREATE INDEX open_job_not_after ON open_job (not_after) WHERE not_after IS NOT NULL;
CREATE INDEX job_retry ON job (retry_of, id) WHERE retry_of IS NOT NULL;
