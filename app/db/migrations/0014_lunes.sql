-- A knowledge base. `seq` is its number in the tables that are searched. `name` is slug-like and one
-- lune's of a tenant at a time. `fusion`: {"meaning": w, "words": w}, NULL for the house's weights.
-- The counts are of the passages that can be found, changed in the transaction that changes those.
-- `deleted_at`: found by nobody, and its rows are being deleted step by step.
CREATE TABLE lune (
    seq         bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    id          text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL REFERENCES tenant (id),
    name        text COLLATE "C" NOT NULL,
    description text,
    metadata    jsonb NOT NULL,
    fusion      jsonb,
    passages    bigint NOT NULL DEFAULT 0,
    words       bigint NOT NULL DEFAULT 0,
    tokens      bigint NOT NULL DEFAULT 0,
    bytes       bigint NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX lune_name ON lune (tenant_id, name) WHERE deleted_at IS NULL;
CREATE INDEX lune_of_tenant ON lune (tenant_id, id);
CREATE INDEX lune_deleted ON lune (deleted_at) WHERE deleted_at IS NOT NULL;

-- A document of a lune. `identity` tells which it is when it comes again: sha256 of its external id,
-- its source's URL, its title or its content. `origin`: whether its text is fetched from `url` or was
-- sent. `version`: the one whose passages are found, NULL until one is whole; `digest` is of what that
-- was made of, and `version_job` is the job that made it. `given_title` is what its tenant calls it,
-- `title` that, or what it calls itself. `etag` and `last_modified` are what
-- the source said of it (RFC 9110, section 8.8).
CREATE TABLE lune_document (
    id            text COLLATE "C" PRIMARY KEY,
    tenant_id     text COLLATE "C" NOT NULL REFERENCES tenant (id),
    lune          bigint NOT NULL REFERENCES lune (seq),
    identity      bytea NOT NULL,
    origin        text NOT NULL CHECK (origin IN ('fetched', 'sent')),
    external_id   text,
    url           text,
    given_title   text,
    title         text,
    media_type    text,
    metadata      jsonb NOT NULL,
    state         text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'in_progress', 'completed', 'failed')),
    error         jsonb,
    job_id        text COLLATE "C",
    version       bigint UNIQUE,
    version_job   text COLLATE "C",
    digest        bytea,
    bytes         bigint NOT NULL DEFAULT 0,
    passages      bigint NOT NULL DEFAULT 0,
    words         bigint NOT NULL DEFAULT 0,
    tokens        bigint NOT NULL DEFAULT 0,
    pages         int,
    etag          text,
    last_modified text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    deleted_at    timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX lune_document_once ON lune_document (lune, identity) WHERE deleted_at IS NULL;
CREATE INDEX lune_document_order ON lune_document (lune, id);
CREATE INDEX lune_document_state ON lune_document (lune, state) WHERE deleted_at IS NULL;
CREATE INDEX lune_document_deleted ON lune_document (deleted_at) WHERE deleted_at IS NOT NULL;

-- How a document stands. One whose job has ended without it, cancelled while it waited or crashed, has
-- failed.
CREATE VIEW lune_document_now AS
    SELECT d.id, CASE WHEN r.id IS NULL THEN d.state ELSE 'failed' END AS state,
        CASE WHEN r.id IS NULL THEN d.error ELSE r.error::jsonb END AS error
    FROM lune_document AS d LEFT JOIN result AS r ON r.id = d.job_id
        AND d.state IN ('queued', 'in_progress') AND r.state IN ('failed', 'cancelled', 'expired');

-- What was sent to become a document, until its job has taken it in: its title, metadata and media
-- type, and its bytes, NULL where they are fetched. They do not stand in the job, whose row lives longer.
CREATE TABLE lune_intake (
    job_id      text COLLATE "C" PRIMARY KEY,
    document_id text COLLATE "C" NOT NULL REFERENCES lune_document (id) ON DELETE CASCADE,
    about       jsonb NOT NULL,
    content     bytea,
    created_at  timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE lune_intake ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE INDEX lune_intake_of ON lune_intake (document_id);
CREATE INDEX lune_intake_age ON lune_intake (created_at);

-- One making of a document's passages, by a job: they are written step by step, and found once
-- `lune_document.version` is this `seq`, which `current` says too.
CREATE TABLE lune_version (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_id text COLLATE "C" NOT NULL REFERENCES lune_document (id) ON DELETE CASCADE,
    job_id      text COLLATE "C" NOT NULL,
    passages    bigint NOT NULL DEFAULT 0,
    words       bigint NOT NULL DEFAULT 0,
    tokens      bigint NOT NULL DEFAULT 0,
    current     boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX lune_version_of ON lune_version (document_id);
CREATE INDEX lune_version_age ON lune_version (created_at) WHERE NOT current;

-- A piece of a document's text, from `start_at` to `end_at` (characters). `heading`: the document's
-- title and the headings above the piece, 'Guide > Install', which its vector and postings know too.
-- `page` is counted from 1, of documents that have pages. A row is never changed.
CREATE TABLE lune_passage (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lune     bigint NOT NULL,
    version  bigint NOT NULL REFERENCES lune_version (seq) ON DELETE CASCADE,
    ordinal  int NOT NULL,
    heading  text NOT NULL,
    content  text NOT NULL,
    start_at int NOT NULL,
    end_at   int NOT NULL,
    page     int,
    tokens   smallint NOT NULL,
    words    smallint NOT NULL,
    vector   halfvec(384) NOT NULL
);
ALTER TABLE lune_passage ALTER COLUMN vector SET STORAGE PLAIN;
CREATE UNIQUE INDEX lune_passage_order ON lune_passage (version, ordinal);
CREATE INDEX lune_passage_of ON lune_passage (lune);
CREATE INDEX lune_passage_vector ON lune_passage USING hnsw (vector halfvec_cosine_ops);

-- Those that can be found, each with its document.
CREATE VIEW live_passage AS
    SELECT p.*, d.id AS document_id, d.tenant_id, d.title, d.url, d.metadata
    FROM lune_passage AS p JOIN lune_document AS d ON d.version = p.version
    WHERE d.deleted_at IS NULL;

-- The postings of BM25: how often (`times`) a lexeme stands in a passage of `words` words, its heading
-- among them; also of passages that cannot be found yet, or no longer.
CREATE TABLE lune_word (
    lune   bigint NOT NULL,
    lexeme text COLLATE "C" NOT NULL,
    seq    bigint NOT NULL REFERENCES lune_passage (seq) ON DELETE CASCADE,
    times  smallint NOT NULL,
    words  smallint NOT NULL,
    PRIMARY KEY (lune, lexeme, seq) INCLUDE (times, words)
);
CREATE INDEX lune_word_of ON lune_word (seq);

-- In how many of a lune's passages a lexeme stands: exactly as many as `lune_word` has rows for.
CREATE TABLE lune_lexeme (
    lune     bigint NOT NULL,
    lexeme   text COLLATE "C" NOT NULL,
    passages bigint NOT NULL,
    PRIMARY KEY (lune, lexeme)
) WITH (fillfactor = 70);
