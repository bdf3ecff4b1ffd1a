-- What few jobs have: a time of their own, another job that they are made again out of, an address that
-- is told of their end. Lock order as in the job line.

DO $$
DECLARE
    old regprocedure;
BEGIN
    FOR old IN SELECT oid::regprocedure FROM pg_proc
               WHERE pronamespace = current_schema()::regnamespace
                 AND proname IN ('arrange', 'due', 'postpone', 'retried', 'tell_ends') LOOP
        EXECUTE 'DROP FUNCTION ' || old;
    END LOOP;
END $$;

-- Gives jobs that the same transaction has admitted what it is that they have. Times are unix seconds;
-- a deadline counts from the job's own time. A job whose time is to come leaves its lane and gives its
-- turn back.
CREATE FUNCTION arrange(
    ids text[], run_ats float8[], not_afters float8[], retries text[], urls text[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE job AS j
    SET run_at = to_timestamp(g.run_at), not_after = to_timestamp(g.not_after), retry_of = g.retry_of,
        webhook_url = g.url
    FROM unnest(ids, run_ats, not_afters, retries, urls) AS g (id, run_at, not_after, retry_of, url)
    WHERE j.id = g.id;
    WITH arranged AS (
        UPDATE open_job AS o
        SET state = CASE WHEN to_timestamp(g.run_at) > now() THEN 'scheduled' ELSE o.state END,
            deadline = o.deadline + greatest(to_timestamp(g.run_at) - now(), interval '0'),
            run_at = to_timestamp(g.run_at), not_after = to_timestamp(g.not_after),
            tells = CASE WHEN g.url IS NOT NULL THEN true END
        FROM unnest(ids, run_ats, not_afters, urls) AS g (id, run_at, not_after, url)
        WHERE o.id = g.id
        RETURNING o.lane, o.tenant_id, o.state
    )
    UPDATE turn AS t SET finish_tag = t.finish_tag - unused.count
    FROM (SELECT a.lane, a.tenant_id, count(*) FROM arranged AS a WHERE a.state = 'scheduled'
          GROUP BY 1, 2) AS unused
    WHERE t.lane = unused.lane AND t.tenant_id = unused.tenant_id;
END $$;

-- Puts up to `most` scheduled jobs whose time has come into their lanes, as if they were admitted now.
-- Returns those.
CREATE FUNCTION due(most int) RETURNS TABLE (id text, lane text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    the_lane text;
    ten      text;
    mine     text[];
    first    bigint;
BEGIN
    FOR the_lane, ten, mine IN
        WITH next AS MATERIALIZED (
            SELECT o.id, o.lane, o.tenant_id, o.run_at FROM open_job AS o
            WHERE o.state = 'scheduled' AND o.run_at <= now()
            ORDER BY o.run_at, o.id LIMIT most FOR UPDATE SKIP LOCKED
        )
        SELECT n.lane, n.tenant_id, array_agg(n.id ORDER BY n.run_at, n.id) FROM next AS n
        GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        first := take_turns(the_lane, ten, cardinality(mine));
        UPDATE open_job AS o
        SET state = 'queued', start_tag = first + m.nr - 1, ring_at = now() + interval '2 seconds'
        FROM unnest(mine) WITH ORDINALITY AS m (id, nr) WHERE o.id = m.id;
        RETURN QUERY SELECT m.id, the_lane FROM unnest(mine) AS m (id);
    END LOOP;
END $$;

-- Takes running jobs out of their lanes for so many seconds. They found no place to begin at, so that
-- nothing is told of the attempt, and one that never began has not started.
CREATE FUNCTION postpone(ids text[], attempts int[], seconds float8[]) RETURNS void LANGUAGE sql AS $$
    UPDATE open_job AS o
    SET state = 'scheduled', owner = NULL, run_at = now() + g.later * interval '1 second',
        started_at = CASE WHEN EXISTS (SELECT FROM attempt AS a WHERE a.job_id = o.id)
                     THEN o.started_at END
    FROM unnest(ids, attempts, seconds) AS g (id, attempt, later)
    WHERE o.id = g.id AND o.attempt = g.attempt AND o.state = 'running'
$$;

-- For each job that is to be made again: the id of the job that is already made again out of it and
-- waits, runs or has completed, if there is one. A request that an Idempotency-Key stands for is not
-- held up: admission answers it. The jobs stay locked, so that of two requests at once one is refused.
CREATE FUNCTION retried(tenants text[], paths text[], idem_keys text[], retries text[])
RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM job AS j WHERE j.id = ANY (retries) ORDER BY j.id FOR NO KEY UPDATE;
    RETURN ARRAY(
        SELECT CASE WHEN EXISTS (
                   SELECT FROM idempotency AS k
                   WHERE k.tenant_id = g.tenant AND k.path = g.path AND k.key = g.key
                     AND k.created_at > now() - interval '24 hours')
               THEN NULL ELSE (
                   SELECT a.id FROM job AS a LEFT JOIN result AS r ON r.id = a.id
                   WHERE a.retry_of = g.retry_of AND (r.id IS NULL OR r.state = 'completed')
                   ORDER BY a.id DESC LIMIT 1) END
        FROM unnest(tenants, paths, idem_keys, retries) WITH ORDINALITY
            AS g (tenant, path, key, retry_of, nr) ORDER BY g.nr);
END $$;

-- Notes a webhook event for the end of each job that `told` says to tell of, where there is an address
-- of the job's own or an endpoint that asks for it. Events go by OpenAI's names where it has one: a
-- response that was cut short is incomplete, as its finish reason says; a quote within a text is
-- escaped, so only keys are found. The results must be there.
CREATE FUNCTION tell_ends(ids text[], told boolean[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO webhook_event (id, tenant_id, type, data, url)
    SELECT 'evt_' || replace(gen_random_uuid()::text, '-', ''), e.tenant_id, e.type,
           json_build_object('id', e.about)::text, e.webhook_url
    FROM (
        SELECT j.tenant_id, j.webhook_url,
               CASE j.kind WHEN 'response' THEN 'resp_' || substr(j.id, 5) ELSE j.id END AS about,
               CASE WHEN j.kind <> 'response' THEN 'job.' || r.state
                    WHEN r.state = 'expired' THEN 'response.failed'
                    WHEN r.state = 'completed'
                         AND r.body ~ '"finish_reason":"(length|content_filter)"'
                    THEN 'response.incomplete'
                    ELSE 'response.' || r.state END AS type
        FROM unnest(ids, told) AS g (id, told)
        JOIN job AS j ON j.id = g.id JOIN result AS r ON r.id = g.id
        WHERE g.told
    ) AS e
    WHERE e.webhook_url IS NOT NULL OR EXISTS (
        SELECT FROM webhook_endpoint AS w
        WHERE w.tenant_id = e.tenant_id AND w.disabled_at IS NULL AND e.type = ANY (w.events))
$$;
