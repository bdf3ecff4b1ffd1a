CREATE EXTENSION IF NOT EXISTS vector;

-- What a tenant remembers. `shelf` is what is searched at once: the memories of a user, of a session
-- that has no user, or those that have neither (app/memory/model.py, `Scope`); `session` is the
-- session's number there, 0 without one. `digest`: sha256 of the normalised text, for duplicates.
-- `forgotten_at`: put away, and found by nobody until it is restored.
-- The row hardly changes after it is written, since a changed row is entered into the vectors' index
-- anew; what changes often stands in `memory_use`.
CREATE TABLE memory (
    seq               bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- the order within a session
    id                text COLLATE "C" PRIMARY KEY,
    tenant_id         text COLLATE "C" NOT NULL REFERENCES tenant (id),
    user_id           text,
    session_id        text,
    shelf             bigint NOT NULL,
    session           bigint NOT NULL,
    memory_type       text NOT NULL
        CHECK (memory_type IN ('episodic', 'semantic', 'procedural', 'preference')),
    content           text NOT NULL,
    digest            bytea NOT NULL,
    vector            halfvec(384) NOT NULL,
    emotional_context jsonb,
    metadata          jsonb NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz,
    forgotten_at      timestamptz
);
ALTER TABLE memory ALTER COLUMN vector SET STORAGE PLAIN;
CREATE UNIQUE INDEX memory_once ON memory (shelf, session, memory_type, digest)
    WHERE forgotten_at IS NULL;
CREATE INDEX memory_order ON memory (shelf, session, seq);
CREATE INDEX memory_of_tenant ON memory (tenant_id, id);
CREATE INDEX memory_of_user ON memory (tenant_id, user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX memory_of_session ON memory (tenant_id, session_id, id) WHERE session_id IS NOT NULL;
CREATE INDEX memory_expiry ON memory (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX memory_forgotten ON memory (forgotten_at) WHERE forgotten_at IS NOT NULL;
CREATE INDEX memory_vector ON memory USING hnsw (vector halfvec_cosine_ops);

-- Those that may be found.
CREATE VIEW live_memory AS
    SELECT * FROM memory
    WHERE forgotten_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- How much a memory matters and how it is used; there is one for each.
CREATE TABLE memory_use (
    seq          bigint PRIMARY KEY REFERENCES memory (seq) ON DELETE CASCADE,
    importance   real NOT NULL CHECK (importance BETWEEN 0 AND 1),
    uses         int NOT NULL DEFAULT 0,
    last_used_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- Which job's texts became which memory: several, where duplicates were merged. `place` counts the
-- texts of one job. A job that runs twice finds what it has stored.
CREATE TABLE memory_source (
    job_id text COLLATE "C" NOT NULL,
    place  int NOT NULL,
    seq    bigint NOT NULL REFERENCES memory (seq) ON DELETE CASCADE,
    merged boolean NOT NULL,
    PRIMARY KEY (job_id, place)
);
CREATE INDEX memory_source_of ON memory_source (seq);

-- The postings of BM25: how often (`times`) a lexeme stands in a memory of `words` words. The lexeme
-- '' stands once in every memory, so that a shelf's memories and words are counted as a lexeme is.
-- Only memories that are not put away have postings, which the trigger below sees to.
CREATE TABLE memory_word (
    shelf   bigint NOT NULL,
    lexeme  text COLLATE "C" NOT NULL,
    seq     bigint NOT NULL REFERENCES memory (seq) ON DELETE CASCADE,
    session bigint NOT NULL,
    times   smallint NOT NULL,
    words   smallint NOT NULL,
    PRIMARY KEY (seq, lexeme) INCLUDE (times, words)
);
CREATE INDEX memory_word_posting ON memory_word (shelf, lexeme, seq)
    INCLUDE (session, times, words);

-- How many memories of a shelf have a common lexeme, and of how many words, counted up to `seq`; later
-- ones are counted at each search. What was deleted meanwhile is counted until the row is made anew. With
-- the memory it stands on it goes, so that nothing is left of a shelf whose memories are all deleted.
CREATE TABLE memory_common (
    shelf      bigint NOT NULL,
    lexeme     text COLLATE "C" NOT NULL,
    seq        bigint NOT NULL REFERENCES memory (seq) ON DELETE CASCADE,
    memories   bigint NOT NULL,
    words      bigint NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shelf, lexeme)
);
CREATE INDEX memory_common_of ON memory_common (seq);

CREATE FUNCTION memory_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM memory_word WHERE seq = NEW.seq;
    END IF;
    IF NEW.forgotten_at IS NULL THEN
        WITH found AS (
            SELECT lexeme, cardinality(positions) AS times
            FROM unnest(to_tsvector('english', NEW.content))
        ), counted AS (
            SELECT least(coalesce(sum(times), 0), 32767) AS words FROM found
        )
        INSERT INTO memory_word (shelf, lexeme, seq, session, times, words)
        SELECT NEW.shelf, lexeme, NEW.seq, NEW.session, times, words
        FROM (SELECT * FROM found UNION ALL VALUES ('', 1)) AS every, counted;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER memory_words_kept AFTER INSERT OR UPDATE OF content, forgotten_at ON memory
    FOR EACH ROW EXECUTE FUNCTION memory_words();

-- Which summary an episode is part of. The summary may be gone: the episode then stays as it is.
CREATE TABLE memory_summed (
    seq        bigint PRIMARY KEY REFERENCES memory (seq) ON DELETE CASCADE,
    summary_id text COLLATE "C" NOT NULL
);
CREATE INDEX memory_summed_by ON memory_summed (summary_id);

-- What was forgotten on request: of the tenant, or of its user and session. What a job that was admitted
-- before `asked_at` would store of that later is not stored. Kept for as long as such a job may run.
-- The counts are of what was deleted so far.
CREATE TABLE memory_forgetting (
    job_id     text COLLATE "C" PRIMARY KEY,
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenant (id),
    user_id    text,
    session_id text,
    asked_at   timestamptz NOT NULL,
    memories   int NOT NULL DEFAULT 0,
    summaries  int NOT NULL DEFAULT 0,
    jobs       int NOT NULL DEFAULT 0
);
CREATE INDEX memory_forgetting_of ON memory_forgetting (tenant_id);
