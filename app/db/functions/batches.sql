-- The statements of batches. Lock order: batch rows, then as the job line has it.

DO $$
DECLARE
    old regprocedure;
BEGIN
    FOR old IN SELECT oid::regprocedure FROM pg_proc
               WHERE pronamespace = current_schema()::regnamespace AND proname IN
                     ('start_batch', 'dispatch_lines', 'count_lines', 'end_batch') LOOP
        EXECUTE 'DROP FUNCTION ' || old;
    END LOOP;
END $$;

-- Admits a batch whose lines have all been read: takes the holds of all of them out of the wallet at
-- once. Answers 'started'; 'gone' if the batch does not wait for this any more; 'no_credit'; or
-- 'over_budget ' and the id of the budget, after which nothing has changed.
CREATE FUNCTION start_batch(the_batch text, the_turn int, the_model text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    b       batch;
    lines   int;
    wanted  bigint;
    credit  bigint;
    bounds  record;
BEGIN
    SELECT * INTO b FROM batch
    WHERE id = the_batch AND status = 'validating' AND turn = the_turn FOR UPDATE;
    IF NOT FOUND THEN RETURN 'gone'; END IF;
    SELECT count(*), coalesce(sum(hold), 0)::bigint INTO lines, wanted
    FROM batch_line WHERE batch_id = the_batch;
    IF wanted > 0 THEN
        PERFORM 1 FROM account WHERE id = b.tenant_id || '/held' FOR UPDATE;
        SELECT balance + overdraft INTO credit FROM account
        WHERE id = b.tenant_id || '/wallet' FOR UPDATE;
        UPDATE budget SET spent = 0, period_start = period_start(period)
        WHERE tenant_id = b.tenant_id AND period_start < period_start(period);
        SELECT * INTO bounds FROM budgets_of(b.tenant_id, b.app_id, b.key_id, wanted);
        IF bounds.hard IS NOT NULL THEN RETURN 'over_budget ' || bounds.hard; END IF;
        -- Without a wallet the comparison is NULL.
        IF (wanted <= credit) IS NOT TRUE THEN RETURN 'no_credit'; END IF;
        UPDATE budget SET held = held + wanted
        WHERE id = ANY (string_to_array(bounds.names, ' '));
        INSERT INTO account (id, tenant_id, kind, balance)
        VALUES (b.tenant_id || '/' || b.id, b.tenant_id, 'batch', wanted);
        UPDATE account SET balance = balance - wanted WHERE id = b.tenant_id || '/wallet';
        INSERT INTO transfer (job_id, tenant_id, kind, debit, credit, amount)
        VALUES (b.id, b.tenant_id, 'hold', b.tenant_id || '/wallet', b.tenant_id || '/' || b.id,
                wanted);
        UPDATE batch SET budgets = bounds.names WHERE id = the_batch;
    END IF;
    UPDATE batch SET status = 'in_progress', in_progress_at = now(), counted_at = now(),
                     total = lines, hold = wanted, model = the_model
    WHERE id = the_batch;
    RETURN 'started';
END $$;

-- Makes jobs of the next waiting lines of a batch, at most one for each of the new `ids`, with holds
-- out of the batch's own; with `these`, of those of these numbers alone. Returns the ids that were used.
CREATE FUNCTION dispatch_lines(the_batch text, ids text[], these int[])
RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    b       batch;
    used    text[];
    taken   bigint;
    turn_at bigint;
BEGIN
    SELECT * INTO b FROM batch
    WHERE id = the_batch AND status = 'in_progress' AND ends_as IS NULL FOR UPDATE;
    IF NOT FOUND THEN RETURN '{}'; END IF;
    WITH next AS MATERIALIZED (
        SELECT line FROM batch_line
        WHERE batch_id = the_batch AND (these IS NULL OR line = ANY (these))
        ORDER BY line LIMIT cardinality(ids)
    ), gone AS (
        DELETE FROM batch_line AS l USING next WHERE l.batch_id = the_batch AND l.line = next.line
        RETURNING l.*
    ), numbered AS (
        SELECT g.*, ids[row_number() OVER (ORDER BY g.line)] AS id FROM gone AS g
    ), made AS (
        INSERT INTO job (id, tenant_id, key_id, app_id, kind, lane, door, model, request, metadata,
                         hold, session, store, batch_id, line, custom_id)
        SELECT n.id, b.tenant_id, b.key_id, b.app_id, n.kind, 'batch', 'background', n.model,
               n.request, n.metadata, n.hold, n.session, n.store, b.id, n.line, n.custom_id
        FROM numbered AS n
        RETURNING id, hold, line
    )
    SELECT array_agg(id ORDER BY line), sum(hold) INTO used, taken FROM made;
    IF used IS NULL THEN RETURN '{}'; END IF;
    IF taken > 0 THEN
        UPDATE account SET balance = balance - taken WHERE id = b.tenant_id || '/' || b.id;
        UPDATE account SET balance = balance + taken WHERE id = b.tenant_id || '/held';
    END IF;
    turn_at := take_turns('batch', b.tenant_id, cardinality(used));
    INSERT INTO open_job (id, tenant_id, lane, state, start_tag, hold, ring_at, deadline, budgets)
    SELECT j.id, b.tenant_id, 'batch', 'queued', turn_at + u.nr - 1, j.hold,
           -- Later than the batch: its lines are ended by whoever ends it.
           now() + interval '2 seconds', b.expires_at + interval '60 seconds',
           CASE WHEN j.hold > 0 THEN b.budgets END
    FROM unnest(used) WITH ORDINALITY AS u (id, nr) JOIN job AS j ON j.id = u.id;
    INSERT INTO transfer (job_id, tenant_id, kind, debit, credit, amount)
    SELECT j.id, b.tenant_id, 'hold', b.tenant_id || '/' || b.id, b.tenant_id || '/held', j.hold
    FROM unnest(used) AS u (id) JOIN job AS j ON j.id = u.id WHERE j.hold > 0;
    INSERT INTO batch_flight (batch_id, job_id) SELECT b.id, u.id FROM unnest(used) AS u (id);
    UPDATE batch SET dispatched = dispatched + cardinality(used) WHERE id = the_batch;
    RETURN used;
END $$;

-- Counts the lines of a batch that have ended since the last count, and how fast they end: a mean
-- that forgets over `memory_s` seconds, and is 0 once it is less than one line in a quarter of an hour.
-- Returns how many lines are in flight.
CREATE FUNCTION count_lines(the_batch text, memory_s float8) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    passed float8;
    kept   float8; -- how much of the old rate is remembered
BEGIN
    SELECT greatest(extract(epoch FROM clock_timestamp() - counted_at), 0.001) INTO passed
    FROM batch WHERE id = the_batch FOR UPDATE;
    -- Beyond 745 exp() is an error, and after 50 nothing is left to remember.
    kept := exp(-least(passed / memory_s, 50));
    WITH ended AS (
        DELETE FROM batch_flight AS f USING result AS r
        WHERE f.batch_id = the_batch AND r.id = f.job_id
        RETURNING r.state, r.cost, r.prompt_tokens, r.cached_tokens, r.completion_tokens, r.usage
    ), sums AS (
        SELECT (1 - kept) * count(*) / passed AS fresh,
               count(*) AS ended, count(*) FILTER (WHERE state = 'completed') AS completed,
               coalesce(sum(cost), 0) AS cost, coalesce(sum(prompt_tokens), 0) AS prompt,
               coalesce(sum(cached_tokens), 0) AS cached,
               coalesce(sum(completion_tokens), 0) AS completion,
               coalesce(sum(substring(usage FROM '"reasoning_tokens":([0-9]{1,9})')::bigint), 0)
                   AS reasoning
        FROM ended
    )
    UPDATE batch AS b
    SET completed = b.completed + s.completed, failed = b.failed + s.ended - s.completed,
        cost = b.cost + s.cost, prompt_tokens = b.prompt_tokens + s.prompt,
        cached_tokens = b.cached_tokens + s.cached,
        completion_tokens = b.completion_tokens + s.completion,
        reasoning_tokens = b.reasoning_tokens + s.reasoning,
        rate = CASE WHEN b.rate * kept + s.fresh < 1.0 / 900 THEN 0 ELSE b.rate * kept + s.fresh END,
        counted_at = clock_timestamp()
    FROM sums AS s WHERE b.id = the_batch;
    RETURN (SELECT count(*) FROM batch_flight WHERE batch_id = the_batch);
END $$;

-- Ends a batch: gives back what its lines have not taken of its hold, and notes the event for its
-- tenant's webhooks. `the_errors`: why it is refused; then it is failed, else it is as `ends_as`
-- says. False if that is no longer this attempt's to do.
CREATE FUNCTION end_batch(the_batch text, the_turn int, the_errors text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    b       batch;
    left_of bigint;
    becomes text;
BEGIN
    SELECT * INTO b FROM batch
    WHERE id = the_batch AND turn = the_turn AND ended_at IS NULL
      AND (the_errors IS NULL) = (ends_as IS NOT NULL) FOR UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    SELECT balance INTO left_of FROM account WHERE id = b.tenant_id || '/' || b.id FOR UPDATE;
    IF left_of > 0 THEN
        PERFORM 1 FROM account WHERE id = b.tenant_id || '/held' FOR UPDATE;
        UPDATE account SET balance = 0 WHERE id = b.tenant_id || '/' || b.id;
        UPDATE account SET balance = balance + left_of WHERE id = b.tenant_id || '/wallet';
        INSERT INTO transfer (job_id, tenant_id, kind, debit, credit, amount)
        VALUES (b.id, b.tenant_id, 'release', b.tenant_id || '/' || b.id, b.tenant_id || '/wallet',
                left_of);
        UPDATE budget SET held = held - left_of WHERE id = ANY (string_to_array(b.budgets, ' '));
    END IF;
    DELETE FROM batch_line WHERE batch_id = the_batch;
    becomes := CASE WHEN the_errors IS NULL THEN b.ends_as ELSE 'failed' END;
    UPDATE batch SET status = becomes, ended_at = now(), errors = the_errors, rate = 0
    WHERE id = the_batch;
    INSERT INTO webhook_event (id, tenant_id, type, data)
    VALUES ('evt_' || replace(gen_random_uuid()::text, '-', ''), b.tenant_id, 'batch.' || becomes,
            json_build_object('id', b.id)::text);
    RETURN true;
END $$;
