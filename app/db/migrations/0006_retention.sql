-- How long content is kept, and who deleted it.

-- Everything of a tenant that was admitted before this has been looked at by the nightly sweep.
ALTER TABLE tenant ADD COLUMN swept_to timestamptz;

-- The deletion job that deleted a job's content; NULL for one that was forgotten once delivered.
ALTER TABLE job ADD COLUMN forgotten_by text COLLATE "C";

-- Both hold only the few jobs that they are for: other jobs do not write to them.
CREATE INDEX job_undelivered ON job (id) WHERE NOT store AND forgotten_at IS NULL;
CREATE INDEX job_deletion ON job (tenant_id, id) WHERE kind = 'content.deletion';
