-- Where a tenant wants to be told of its events. `busy_until`: one delivery at a time goes to an
-- endpoint, so that a slow receiver holds up nobody else.
CREATE TABLE webhook_endpoint (
    id          text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL REFERENCES tenant (id),
    url         text NOT NULL,
    description text NOT NULL,
    events      text[] NOT NULL,
    secret      text NOT NULL, -- sealed by app/vault.py
    busy_until  timestamptz NOT NULL DEFAULT now(),
    created_at  timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX webhook_endpoint_of_tenant ON webhook_endpoint (tenant_id, id);

-- An event on its way to an endpoint. `next_at`: when it is sent next; while it is being sent, when
-- its sender counts as lost. NULL once it has ended.
CREATE TABLE webhook_delivery (
    id          text COLLATE "C" PRIMARY KEY,
    event_id    text COLLATE "C" NOT NULL REFERENCES webhook_event (id),
    endpoint_id text COLLATE "C" NOT NULL REFERENCES webhook_endpoint (id) ON DELETE CASCADE,
    state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
    attempts    int NOT NULL DEFAULT 0,
    next_at     timestamptz DEFAULT now(),
    last_status int,  -- HTTP's, of the last attempt; NULL: no answer
    last_error  text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    UNIQUE (event_id, endpoint_id),
    CHECK ((next_at IS NULL) = (state <> 'waiting')),
    CHECK ((ended_at IS NULL) = (state = 'waiting'))
) WITH (fillfactor = 70);
CREATE INDEX webhook_delivery_due ON webhook_delivery (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX webhook_delivery_due_of_endpoint ON webhook_delivery (endpoint_id, next_at)
    WHERE next_at IS NOT NULL;
CREATE INDEX webhook_delivery_of_endpoint ON webhook_delivery (endpoint_id, id);
