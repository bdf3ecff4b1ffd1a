-- Files that tenants upload, and those that their batches end with. The bytes lie in the storage of
-- app/files/storage under the row's id; the row is there before the first of them and until the last
-- of them is gone. arriving: being written. kept: whole, and readable. leaving: being removed, and
-- nobody's any more. `busy_until`: when whoever writes or removes it counts as lost.
CREATE TABLE file (
    id         text COLLATE "C" PRIMARY KEY,
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenant (id),
    state      text NOT NULL DEFAULT 'arriving' CHECK (state IN ('arriving', 'kept', 'leaving')),
    bytes      bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0), -- of an arriving one: what counts so far
    purpose    text,
    filename   text,
    media_type text,
    sha256     text,
    app_id     text COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    busy_until timestamptz,
    CONSTRAINT file_is_described CHECK (state <> 'kept' OR (purpose IS NOT NULL
        AND filename IS NOT NULL AND media_type IS NOT NULL AND sha256 IS NOT NULL)),
    CONSTRAINT file_is_busy CHECK ((busy_until IS NULL) = (state = 'kept'))
) WITH (fillfactor = 70);
CREATE INDEX file_of_tenant ON file (tenant_id, id);
