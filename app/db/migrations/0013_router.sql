-- Profiles that the router decides by, which of them is active, and what it would have chosen where
-- it was not asked. One profile comes with Moonpool and is in none of these tables.

-- A profile as its file has it; it is never changed. pushed: by the operator. feedback: ratings were
-- counted into the one named by `parent`, whose clusters it shares.
CREATE TABLE router_profile (
    version    text COLLATE "C" PRIMARY KEY, -- the checksum of what is in it
    body       text NOT NULL,                -- JSON, as `moonpool router fit` writes it
    models     text[] NOT NULL,
    origin     text NOT NULL CHECK (origin IN ('pushed', 'feedback')),
    parent     text COLLATE "C",
    who        text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((parent IS NOT NULL) = (origin = 'feedback'))
);

-- Each activation, in order. The last that was not undone holds; without one the profile that comes
-- with Moonpool does, as it does by name where `version` is NULL.
CREATE TABLE router_activation (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version   text COLLATE "C" REFERENCES router_profile (version),
    who       text NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    undone_at timestamptz,
    undone_by text
);
CREATE INDEX router_activation_standing ON router_activation (seq) WHERE undone_at IS NULL;

-- What the router would have chosen for requests that named a model, counted by day (UTC). Sums are
-- of expected errors, and of prices in shares of the dearest candidate's.
CREATE TABLE router_shadow (
    day          date NOT NULL,
    asked        text COLLATE "C" NOT NULL,
    chosen       text COLLATE "C" NOT NULL,
    requests     bigint NOT NULL,
    asked_error  float8 NOT NULL,
    chosen_error float8 NOT NULL,
    asked_cost   float8 NOT NULL,
    chosen_cost  float8 NOT NULL,
    PRIMARY KEY (day, asked, chosen)
) WITH (fillfactor = 50);

-- Ratings of answers that the router chose the model of.
CREATE INDEX feedback_of_routed ON feedback (job_id) WHERE model = 'auto' AND replaced_by IS NULL;
