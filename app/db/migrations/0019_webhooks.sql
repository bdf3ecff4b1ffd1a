-- Webhooks of jobs, rotation of secrets, replay, and a breaker for each endpoint.

-- `kind` jobs: stands for the receivers of one origin that jobs named themselves (`webhook_url`), with
-- the origin for its URL and the tenant's own secret. While `old_until` is to come both secrets sign.
-- `failures`: deliveries that failed one after another; `paused_until`: from when one is tried again,
-- NULL where nothing is held up.
ALTER TABLE webhook_endpoint
    ALTER COLUMN secret DROP NOT NULL,
    ADD COLUMN kind text NOT NULL DEFAULT 'events' CHECK (kind IN ('events', 'jobs')),
    ADD COLUMN old_secret text,
    ADD COLUMN old_until timestamptz,
    ADD COLUMN failures int NOT NULL DEFAULT 0,
    ADD COLUMN paused_until timestamptz,
    ADD CONSTRAINT webhook_endpoint_secret_check CHECK ((secret IS NULL) = (kind = 'jobs'));
CREATE UNIQUE INDEX webhook_endpoint_of_jobs ON webhook_endpoint (tenant_id, url) WHERE kind = 'jobs';

-- What signs the webhooks of a tenant's jobs, sealed.
CREATE TABLE webhook_secret (
    tenant_id  text COLLATE "C" PRIMARY KEY REFERENCES tenant (id),
    secret     text NOT NULL,
    old_secret text,
    old_until  timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- `url`: where beside its tenant's endpoints an event goes; of a delivery, where in the place of its
-- endpoint's. `spent`: the attempts that were made before a delivery was last replayed.
ALTER TABLE webhook_event ADD COLUMN url text;
ALTER TABLE webhook_delivery
    ADD COLUMN url text,
    ADD COLUMN spent int NOT NULL DEFAULT 0;

-- `tells`: the job's end is a webhook event. NULL: as is usual in its lane.
ALTER TABLE job ADD COLUMN webhook_url text;
ALTER TABLE open_job ADD COLUMN tells boolean;
