-- The job line's statements. Each takes a group: one round trip and one commit for all that waits.
-- Lock order everywhere: open_job rows, then account rows in id order, then turn, then lane. A
-- tenant's budgets are locked by whoever has locked its accounts.
-- A job whose hold is nothing (a free model, a test key) moves no money: it has no transfers.

DO $$
DECLARE
    old regprocedure;
BEGIN
    -- A function whose arguments have changed would stand beside its old self.
    FOR old IN SELECT oid::regprocedure FROM pg_proc
               WHERE pronamespace = current_schema()::regnamespace AND proname IN
                     ('admit', 'claim', 'post_settlement', 'post_costs', 'settle', 'requeue', 'void',
                      'period_start', 'pay_budgets', 'forget', 'without_texts', 'budgets_of',
                      'newest_key', 'take_turns') LOOP
        EXECUTE 'DROP FUNCTION ' || old;
    END LOOP;
END $$;

-- The first day of the day or month that is now, in UTC.
CREATE FUNCTION period_start(period text) RETURNS date LANGUAGE sql STABLE AS $$
    SELECT date_trunc(period, now() AT TIME ZONE 'UTC')::date
$$;

-- The key that has taken a key's place by rotation, perhaps over several; else the key itself.
CREATE FUNCTION newest_key(key text) RETURNS text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE rotated (id, nr) AS (
        SELECT key COLLATE "C", 0
        UNION ALL
        SELECT k.rotated_to, r.nr + 1 FROM rotated AS r JOIN api_key AS k ON k.id = r.id
        WHERE k.rotated_to IS NOT NULL
    )
    SELECT id FROM rotated ORDER BY nr DESC LIMIT 1
$$;

-- The budgets that hold for a caller, with a space between; one whose soft limit is reached, and one
-- whose hard limit a hold of `wanted` might break. The tenant's accounts are locked.
CREATE FUNCTION budgets_of(
    ten text, app text, key text, wanted bigint, OUT names text, OUT soft text, OUT hard text
) LANGUAGE sql AS $$
    SELECT string_agg(b.id, ' '), min(b.id) FILTER (WHERE b.spent >= b.soft),
           min(b.id) FILTER (WHERE b.spent + b.held + wanted > b.hard)
    FROM (SELECT CASE WHEN EXISTS (SELECT 1 FROM budget WHERE tenant_id = ten AND scope = 'key')
                 THEN newest_key(key) END) AS place (newest), budget AS b
    WHERE b.tenant_id = ten AND b.subject IN (ten, app, key, newest) AND CASE b.scope
          WHEN 'app' THEN b.subject = app WHEN 'key' THEN b.subject IN (key, newest)
          ELSE b.subject = ten END
$$;

-- Takes `wanted` turns in a row for a tenant; returns the start tag of the first.
CREATE FUNCTION take_turns(the_lane text, ten text, wanted bigint) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO turn AS t (lane, tenant_id, finish_tag)
    VALUES (the_lane, ten, (SELECT clock FROM lane WHERE name = the_lane) + wanted)
    ON CONFLICT (lane, tenant_id) DO UPDATE
        SET finish_tag = greatest(t.finish_tag + wanted, EXCLUDED.finish_tag)
    RETURNING finish_tag - wanted
$$;

-- Admits a group of jobs: hold, job row, place in its lane. A verdict for each, in the order given:
-- 'admitted', or 'admitted ' and the id of a budget whose soft limit is reached; 'no_credit' (the
-- wallet does not cover the hold), 'over_budget ' and the id of the budget whose hard limit the hold
-- might break, 'overloaded' (`bounds`: how many jobs may wait in the job's lane), 'replayed ' and the
-- id of the job that the Idempotency-Key stands for, or 'mismatch' (the key came with another body).
-- A key stands for its job for 24 hours.
--
-- Tenants take turns by start-time fair queueing (Goyal, Vin, Cheng: Start-time Fair Queueing,
-- SIGCOMM 1996, section 2): start = max(lane's clock, tenant's last finish), finish = start + 1;
-- the clock is the start tag of the job claimed last.
CREATE FUNCTION admit(
    ids text[], tenants text[], keys text[], apps text[], kinds text[], lanes text[], doors text[],
    models text[], requests text[], metas text[], holds bigint[], deadlines float8[], bounds int[],
    paths text[], idem_keys text[], body_hashes text[], reserves bigint[], sessions text[],
    holds_sessions boolean[], stores boolean[]
) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    n         int := cardinality(ids);
    verdicts  text[] := array_fill('admitted'::text, ARRAY[n]);
    starts    bigint[] := array_fill(0::bigint, ARRAY[n]);
    the_lane  text;
    room      bigint;
    ten       text;
    credit    bigint;
    taken     bigint;
    turn_at   bigint;
    leaders   int[] := array_fill(NULL::int, ARRAY[n]);
    prior     record;
    budgeted  boolean;
    limited   text[] := array_fill(NULL::text, ARRAY[n]); -- the budgets that hold for a job
    warnings  text[] := array_fill(NULL::text, ARRAY[n]);
BEGIN
    FOR i IN 1..n LOOP
        CONTINUE WHEN idem_keys[i] IS NULL;
        SELECT k.job_id, k.body_hash INTO prior FROM idempotency AS k
        WHERE k.tenant_id = tenants[i] AND k.path = paths[i] AND k.key = idem_keys[i]
          AND k.created_at > now() - interval '24 hours';
        IF FOUND THEN
            verdicts[i] := CASE prior.body_hash WHEN body_hashes[i]
                           THEN 'replayed ' || prior.job_id ELSE 'mismatch' END;
            CONTINUE;
        END IF;
        FOR j IN 1..i - 1 LOOP
            CONTINUE WHEN tenants[j] <> tenants[i] OR paths[j] <> paths[i]
                       OR idem_keys[j] IS DISTINCT FROM idem_keys[i] OR verdicts[j] <> 'admitted';
            verdicts[i] := CASE body_hashes[j] WHEN body_hashes[i] THEN 'follows' ELSE 'mismatch' END;
            leaders[i] := j;
            EXIT;
        END LOOP;
    END LOOP;
    FOR the_lane IN SELECT DISTINCT unnest(lanes) LOOP
        room := NULL;
        FOR i IN 1..n LOOP
            CONTINUE WHEN lanes[i] <> the_lane OR verdicts[i] <> 'admitted';
            IF room IS NULL THEN
                SELECT bounds[i] - count(*) INTO room FROM (
                    SELECT 1 FROM open_job WHERE lane = the_lane AND state = 'queued' LIMIT bounds[i]
                ) AS waiting;
            END IF;
            IF room <= 0 THEN verdicts[i] := 'overloaded'; ELSE room := room - 1; END IF;
        END LOOP;
    END LOOP;
    FOR ten IN SELECT DISTINCT t FROM unnest(tenants) AS t ORDER BY 1 LOOP
        PERFORM 1 FROM account WHERE id = ten || '/held' FOR UPDATE;
        SELECT balance + overdraft INTO credit FROM account WHERE id = ten || '/wallet' FOR UPDATE;
        taken := 0;
        SELECT EXISTS (SELECT 1 FROM budget WHERE tenant_id = ten) INTO budgeted;
        IF budgeted THEN
            UPDATE budget AS b SET spent = 0, period_start = period_start(b.period)
            WHERE b.tenant_id = ten AND b.period_start < period_start(b.period);
        END IF;
        FOR i IN 1..n LOOP
            CONTINUE WHEN tenants[i] <> ten OR verdicts[i] <> 'admitted';
            IF budgeted AND holds[i] > 0 THEN
                SELECT * INTO prior FROM budgets_of(ten, apps[i], keys[i], holds[i]);
                limited[i] := prior.names;
                warnings[i] := prior.soft;
                IF prior.hard IS NOT NULL THEN
                    verdicts[i] := 'over_budget ' || prior.hard;
                    CONTINUE;
                END IF;
            END IF;
            -- Without a wallet the comparison is NULL, which admits nothing.
            IF holds[i] <= credit - taken THEN
                taken := taken + holds[i];
                IF limited[i] IS NOT NULL THEN
                    UPDATE budget SET held = held + holds[i]
                    WHERE id = ANY (string_to_array(limited[i], ' '));
                END IF;
            ELSE
                verdicts[i] := 'no_credit';
            END IF;
        END LOOP;
        IF taken > 0 THEN
            UPDATE account SET balance = balance + taken WHERE id = ten || '/held';
            UPDATE account SET balance = balance - taken WHERE id = ten || '/wallet';
        END IF;
    END LOOP;
    FOR the_lane, ten IN SELECT DISTINCT l, t FROM unnest(lanes, tenants) AS g (l, t) ORDER BY 1, 2 LOOP
        taken := 0;
        FOR i IN 1..n LOOP
            CONTINUE WHEN lanes[i] <> the_lane OR tenants[i] <> ten OR verdicts[i] <> 'admitted';
            starts[i] := taken;
            taken := taken + 1;
        END LOOP;
        CONTINUE WHEN taken = 0;
        turn_at := take_turns(the_lane, ten, taken);
        FOR i IN 1..n LOOP
            IF lanes[i] = the_lane AND tenants[i] = ten THEN starts[i] := starts[i] + turn_at; END IF;
        END LOOP;
    END LOOP;
    INSERT INTO job (id, tenant_id, key_id, app_id, kind, lane, door, model, request, metadata, hold,
                     reserved, session, holds_session, store)
    SELECT g.id, g.tenant, g.key, g.app, g.kind, g.lane, g.door, g.model, g.request, g.meta, g.hold,
           g.reserve, g.session, g.holds_session, g.store
    FROM unnest(ids, tenants, keys, apps, kinds, lanes, doors, models, requests, metas, holds, verdicts,
                reserves, sessions, holds_sessions, stores)
        AS g (id, tenant, key, app, kind, lane, door, model, request, meta, hold, verdict,
              reserve, session, holds_session, store)
    WHERE g.verdict = 'admitted';
    INSERT INTO open_job (id, tenant_id, lane, state, start_tag, hold, ring_at, deadline, budgets)
    SELECT g.id, g.tenant, g.lane, 'queued', g.start, g.hold, now() + interval '2 seconds',
           now() + g.deadline * interval '1 second', g.budgets
    FROM unnest(ids, tenants, lanes, holds, starts, deadlines, limited, verdicts)
        AS g (id, tenant, lane, hold, start, deadline, budgets, verdict)
    WHERE g.verdict = 'admitted';
    INSERT INTO transfer (job_id, tenant_id, kind, debit, credit, amount)
    SELECT g.id, g.tenant, 'hold', g.tenant || '/wallet', g.tenant || '/held', g.hold
    FROM unnest(ids, tenants, holds, verdicts) AS g (id, tenant, hold, verdict)
    WHERE g.verdict = 'admitted' AND g.hold > 0;
    INSERT INTO idempotency AS k (tenant_id, path, key, body_hash, job_id)
    SELECT g.tenant, g.path, g.key, g.hash, g.id
    FROM unnest(ids, tenants, paths, idem_keys, body_hashes, verdicts)
        AS g (id, tenant, path, key, hash, verdict)
    WHERE g.verdict = 'admitted' AND g.key IS NOT NULL
    ON CONFLICT (tenant_id, path, key) DO UPDATE
        SET body_hash = EXCLUDED.body_hash, job_id = EXCLUDED.job_id, created_at = now()
        WHERE k.created_at <= now() - interval '24 hours';
    GET DIAGNOSTICS taken = ROW_COUNT;
    IF taken < (SELECT count(*) FROM unnest(idem_keys, verdicts) AS g (key, verdict)
                WHERE g.verdict = 'admitted' AND g.key IS NOT NULL) THEN
        RAISE unique_violation USING MESSAGE = 'an Idempotency-Key was taken at the same moment';
    END IF;
    FOR i IN 1..n LOOP
        CONTINUE WHEN verdicts[i] <> 'follows';
        verdicts[i] := CASE verdicts[leaders[i]] WHEN 'admitted'
                       THEN 'replayed ' || ids[leaders[i]] ELSE verdicts[leaders[i]] END;
    END LOOP;
    FOR i IN 1..n LOOP
        IF verdicts[i] = 'admitted' AND warnings[i] IS NOT NULL THEN
            verdicts[i] := 'admitted ' || warnings[i];
        END IF;
    END LOOP;
    RETURN verdicts;
END $$;

-- Claims up to `wanted` jobs of a lane for a worker process, those whose turn it is. The attempt
-- number that it gives out fences all that follows. A job past its `not_after` is not begun; one that
-- began in time, and was handed back, goes on.
CREATE FUNCTION claim(the_lane text, the_owner text, wanted int)
RETURNS TABLE (id text, attempt int, strikes int, tenant_id text, kind text, door text, model text,
               request text, hold bigint, created_s float8, age_ms float8, left_s float8,
               key_id text, reserved bigint, session text, holds_session boolean, batch_id text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    mine text[];
    top  bigint;
BEGIN
    WITH next AS (
        SELECT id FROM open_job WHERE lane = the_lane AND state = 'queued'
        AND (not_after IS NULL OR not_after >= now() OR attempt > 0)
        ORDER BY start_tag, id LIMIT wanted FOR UPDATE SKIP LOCKED
    ), won AS (
        UPDATE open_job AS o
        SET state = 'running', attempt = o.attempt + 1, owner = the_owner, claimed_at = now(),
            started_at = coalesce(o.started_at, now())
        FROM next WHERE o.id = next.id
        RETURNING o.id, o.start_tag
    )
    SELECT array_agg(id), max(start_tag) INTO mine, top FROM won;
    IF mine IS NULL THEN RETURN; END IF;
    UPDATE lane SET clock = top WHERE name = the_lane AND clock < top;
    RETURN QUERY
    SELECT j.id, o.attempt, o.strikes, j.tenant_id, j.kind, j.door, j.model, j.request, j.hold,
           extract(epoch FROM j.created_at)::float8,
           extract(epoch FROM clock_timestamp() - greatest(j.created_at, j.run_at))::float8 * 1000,
           extract(epoch FROM o.deadline - now())::float8,
           j.key_id, j.reserved, j.session, j.holds_session, j.batch_id
    FROM unnest(mine) AS m (id) JOIN open_job AS o ON o.id = m.id JOIN job AS j ON j.id = m.id;
END $$;

-- Ends jobs whose open_job rows the caller has just deleted: pays the costs out of the holds and
-- gives the rest back; notes what the attempt owes the provider `owed_to`, if it owes one. Arrays
-- run in parallel; `budgets` are those of open_job.
CREATE FUNCTION post_settlement(
    ids text[], tenants text[], holds bigint[], costs bigint[], budgets text[],
    attempts int[], owed_to text[], owed bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM account WHERE id IN (
        SELECT DISTINCT t || k FROM unnest(tenants) AS t, (VALUES ('/held'), ('/wallet')) AS kinds (k)
    ) ORDER BY id FOR UPDATE;
    UPDATE account AS a SET balance = a.balance + s.change
    FROM (
        SELECT g.tenant || '/held' AS id, -sum(g.hold) AS change
        FROM unnest(tenants, holds) AS g (tenant, hold) GROUP BY g.tenant
        UNION ALL
        SELECT g.tenant || '/wallet', sum(g.hold - g.cost)
        FROM unnest(tenants, holds, costs) AS g (tenant, hold, cost) GROUP BY g.tenant
    ) AS s
    WHERE a.id = s.id AND s.change <> 0;
    INSERT INTO transfer (job_id, tenant_id, kind, debit, credit, amount, attempt)
    SELECT g.id, g.tenant, e.kind, e.debit, e.credit, e.amount, e.attempt
    FROM unnest(ids, tenants, holds, costs, attempts, owed_to, owed)
             AS g (id, tenant, hold, cost, attempt, owed_to, owed),
         LATERAL (VALUES
             ('settle', g.tenant || '/held', 'platform/revenue', g.cost, NULL, g.hold > 0),
             ('release', g.tenant || '/held', g.tenant || '/wallet', g.hold - g.cost, NULL,
              g.hold > 0),
             ('cost', 'platform/cost', 'provider/' || g.owed_to, g.owed, g.attempt,
              g.owed_to IS NOT NULL)) AS e (kind, debit, credit, amount, attempt, due)
    WHERE e.due;
    IF array_to_string(budgets, '') <> '' THEN
        PERFORM pay_budgets(holds, costs, budgets);
    END IF;
END $$;

-- Moves what jobs held of their budgets to what they spent, and notes an event for each budget whose
-- soft limit is reached for the first time in its period.
CREATE FUNCTION pay_budgets(holds bigint[], costs bigint[], budgets text[])
RETURNS void LANGUAGE sql AS $$
    WITH paid AS (
        SELECT p.budget, sum(g.hold) AS hold, sum(g.cost) AS cost
        FROM unnest(holds, costs, budgets) AS g (hold, cost, budgets),
             LATERAL unnest(string_to_array(g.budgets, ' ')) AS p (budget)
        GROUP BY p.budget
    ), later AS (
        -- A transaction that began before midnight may come here after one that began in the new day.
        SELECT b.id, b.tenant_id, p.hold, d.day, b.soft, b.warned_for,
               p.cost + CASE WHEN b.period_start < d.day THEN 0 ELSE b.spent END AS spent
        FROM paid AS p JOIN budget AS b ON b.id = p.budget,
             LATERAL (SELECT greatest(b.period_start, period_start(b.period))) AS d (day)
    ), posted AS (
        -- One UPDATE for all: a statement changes a row but once.
        UPDATE budget AS b
        SET held = b.held - l.hold, spent = l.spent, period_start = l.day,
            warned_for = CASE WHEN l.spent >= l.soft THEN l.day ELSE b.warned_for END
        FROM later AS l WHERE b.id = l.id
    )
    INSERT INTO webhook_event (id, tenant_id, type, data)
    SELECT 'evt_' || replace(gen_random_uuid()::text, '-', ''), l.tenant_id, 'budget.soft_limit_reached',
           json_build_object('id', l.id)::text
    FROM later AS l WHERE l.spent >= l.soft AND l.warned_for IS DISTINCT FROM l.day
$$;

-- Posts what attempts owe providers, where `post_settlement` does not: that of attempts that did not
-- end their jobs, and of those that called several providers. It stands whoever has won.
CREATE FUNCTION post_costs(ids text[], attempts int[], providers text[], amounts bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO transfer (job_id, attempt, tenant_id, kind, debit, credit, amount)
    SELECT g.id, g.attempt, j.tenant_id, 'cost', 'platform/cost', 'provider/' || g.provider, g.amount
    FROM unnest(ids, attempts, providers, amounts) AS g (id, attempt, provider, amount)
    JOIN job AS j ON j.id = g.id
    ON CONFLICT DO NOTHING;
END $$;

-- Settles a group of attempts. For each, whether it stands: true if this call ended the job, or an
-- earlier call of the same owner did (its commit was in doubt); false if the attempt is not current.
CREATE FUNCTION settle(
    the_owner text, ids text[], attempts int[], states text[], last_seqs int[], bodies text[],
    errors text[], usages text[], costs bigint[], calls text[], prompts bigint[], cached bigint[],
    completions bigint[], providers text[], prices text[], platform_costs bigint[],
    owed_to text[], billed text[],
    owed_ids text[], owed_attempts int[], owed_providers text[], owed_amounts bigint[]
) RETURNS boolean[] LANGUAGE plpgsql AS $$
DECLARE
    won     text[];
    tenants text[];
    holds   bigint[];
    paid    bigint[];
    limited text[];
    began   timestamptz[];
    current int[];
    owes_to text[];
    owes    bigint[];
    claimed timestamptz[];
    told    boolean[];
BEGIN
    WITH gone AS (
        DELETE FROM open_job AS o
        USING unnest(ids, attempts, costs, owed_to, platform_costs) AS g (id, attempt, cost, owed_to, owed)
        WHERE o.id = g.id AND o.attempt = g.attempt AND o.state = 'running'
        RETURNING o.id, o.tenant_id, o.hold, least(g.cost, o.hold) AS cost, o.started_at, o.claimed_at,
                  o.budgets, o.attempt, g.owed_to, g.owed,
                  coalesce(o.tells, o.lane = 'background') AS tells
    )
    SELECT array_agg(id), array_agg(tenant_id), array_agg(hold), array_agg(cost),
           array_agg(started_at), array_agg(claimed_at), array_agg(budgets), array_agg(attempt),
           array_agg(gone.owed_to), array_agg(owed), array_agg(tells)
    INTO won, tenants, holds, paid, began, claimed, limited, current, owes_to, owes, told FROM gone;
    IF won IS NOT NULL THEN
        INSERT INTO result (id, state, attempt, last_seq, settled_by, body, error, usage, cost, started_at,
                            prompt_tokens, cached_tokens, completion_tokens, provider, price,
                            platform_cost, billed)
        SELECT g.id, g.state, g.attempt, g.last_seq, the_owner, g.body, g.error, g.usage, w.cost, w.started_at,
               g.prompt, g.cached, g.completion, g.provider, g.price, g.platform_cost, g.billed
        FROM unnest(won, paid, began) AS w (id, cost, started_at)
        JOIN unnest(ids, attempts, states, last_seqs, bodies, errors, usages, prompts, cached,
                    completions, providers, prices, platform_costs, billed)
            AS g (id, attempt, state, last_seq, body, error, usage, prompt, cached, completion,
                  provider, price, platform_cost, billed) ON g.id = w.id;
        INSERT INTO attempt (job_id, attempt, owner, outcome, calls, started_at, platform_cost)
        SELECT g.id, g.attempt, the_owner,
               CASE g.state WHEN 'expired' THEN 'failed' ELSE g.state END, g.calls, w.claimed_at,
               g.platform_cost
        FROM unnest(won, claimed) AS w (id, claimed_at)
        JOIN unnest(ids, attempts, states, calls, platform_costs)
            AS g (id, attempt, state, calls, platform_cost) ON g.id = w.id;
        PERFORM post_settlement(won, tenants, holds, paid, limited, current, owes_to, owes);
        IF true = ANY (told) THEN
            PERFORM tell_ends(won, told);
        END IF;
    END IF;
    IF coalesce(cardinality(won), 0) < cardinality(ids) THEN
        FOR i IN 1..cardinality(ids) LOOP
            IF owed_to[i] IS NOT NULL AND (won IS NULL OR NOT ids[i] = ANY (won)) THEN
                owed_ids := owed_ids || ids[i];
                owed_attempts := owed_attempts || attempts[i];
                owed_providers := owed_providers || owed_to[i];
                owed_amounts := owed_amounts || platform_costs[i];
            END IF;
        END LOOP;
    END IF;
    IF cardinality(owed_ids) > 0 THEN
        PERFORM post_costs(owed_ids, owed_attempts, owed_providers, owed_amounts);
    END IF;
    RETURN ARRAY(
        SELECT coalesce(g.id = ANY (won), false) OR EXISTS (
            SELECT 1 FROM result AS r
            WHERE r.id = g.id AND r.attempt = g.attempt AND r.settled_by = the_owner)
        FROM unnest(ids, attempts) WITH ORDINALITY AS g (id, attempt, nr) ORDER BY g.nr);
END $$;

-- Hands running jobs back to their lane: a strike for each whose attempt was lost or interrupted,
-- none for one that a stopping worker released. Returns the ids that are queued again.
CREATE FUNCTION requeue(
    ids text[], attempts int[], outcome_of text, all_calls text[], platform_costs bigint[])
RETURNS TABLE (id text, lane text) LANGUAGE sql AS $$
    WITH back AS (
        UPDATE open_job AS o
        SET state = 'queued', owner = NULL, ring_at = now() + interval '2 seconds', rings = 0,
            strikes = o.strikes + CASE outcome_of WHEN 'released' THEN 0 ELSE 1 END
        FROM (SELECT * FROM unnest(ids, attempts, all_calls, platform_costs))
                 AS g (id, attempt, calls, platform_cost),
             (SELECT q.id, q.owner FROM open_job AS q WHERE q.id = ANY (ids)) AS was
        WHERE o.id = g.id AND was.id = o.id AND o.attempt = g.attempt AND o.state = 'running'
        RETURNING o.id, o.lane, o.attempt, was.owner, o.claimed_at, g.calls,
                  g.platform_cost
    ), told AS (
        INSERT INTO attempt (job_id, attempt, owner, outcome, calls, started_at, platform_cost)
        SELECT b.id, b.attempt, b.owner, outcome_of, b.calls, b.claimed_at, b.platform_cost
        FROM back AS b
        ON CONFLICT DO NOTHING
    )
    SELECT b.id, b.lane FROM back AS b
$$;

-- Ends jobs that no worker runs: cancelled while queued, expired, or given up. Their holds are
-- released whole. `from_state` guards against a claim in between. Returns what each that it ended had
-- reserved of its limits, and its last attempt.
CREATE FUNCTION void(
    ids text[], from_state text, end_state text, the_error text, by_whom text
) RETURNS TABLE (id text, tenant_id text, key_id text, reserved bigint, session text,
                 holds_session boolean, created_s float8, attempt int)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    won text[]; tenants text[]; lanes text[]; holds bigint[]; limited text[]; attempts int[];
    told boolean[];
BEGIN
    WITH target AS (
        SELECT o.id FROM open_job AS o WHERE o.id = ANY (ids) AND o.state = from_state
        ORDER BY o.id FOR UPDATE
    ), gone AS (
        DELETE FROM open_job AS o USING target AS t WHERE o.id = t.id AND o.state = from_state
        RETURNING o.id, o.tenant_id, o.lane, o.hold, o.attempt, o.started_at, o.claimed_at, o.owner,
                  o.budgets, coalesce(o.tells, o.lane = 'background') AS tells
    ), ended AS (
        INSERT INTO result (id, state, attempt, last_seq, settled_by, error, cost, started_at)
        SELECT g.id, end_state, g.attempt, 0, by_whom, the_error, 0, g.started_at FROM gone AS g
    ), told AS (
        INSERT INTO attempt (job_id, attempt, owner, outcome, started_at)
        SELECT g.id, g.attempt, g.owner, 'lost', g.claimed_at FROM gone AS g
        WHERE from_state = 'running' ON CONFLICT DO NOTHING
    )
    SELECT array_agg(g.id), array_agg(g.tenant_id),
           array_agg(CASE WHEN g.attempt = 0 AND from_state = 'queued' THEN g.lane END),
           array_agg(g.hold), array_agg(g.budgets), array_agg(g.attempt), array_agg(g.tells)
    INTO won, tenants, lanes, holds, limited, attempts, told FROM gone AS g;
    IF won IS NOT NULL THEN
        PERFORM post_settlement(won, tenants, holds, array_fill(0::bigint, ARRAY[cardinality(won)]),
                                limited, attempts, NULL, NULL);
        IF true = ANY (told) THEN
            PERFORM tell_ends(won, told);
        END IF;
        -- A job that never ran gives its turn back; one that was scheduled has none.
        UPDATE turn AS t SET finish_tag = t.finish_tag - unused.count
        FROM (SELECT g.lane, g.tenant, count(*) FROM unnest(lanes, tenants) AS g (lane, tenant)
              GROUP BY 1, 2) AS unused
        WHERE t.lane = unused.lane AND t.tenant_id = unused.tenant;
    END IF;
    RETURN QUERY
    SELECT j.id, j.tenant_id, j.key_id, j.reserved, j.session, j.holds_session,
           extract(epoch FROM j.created_at)::float8, w.attempt
    FROM unnest(won, attempts) AS w (id, attempt) JOIN job AS j ON j.id = w.id;
END $$;

-- JSON without what people or providers said: texts under "error", "message" and "reason" are blanked,
-- since a provider may quote the prompt; codes, numbers and names stay. A quote within a string is
-- escaped, so only keys are found. Not done with json functions: they refuse \u0000.
CREATE FUNCTION without_texts(told text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT regexp_replace(told, '"(error|message|reason)":"(\\.|[^"\\])*"', '"\1":"deleted"', 'g')
$$;

-- Deletes what jobs that have ended were asked and answered; their money and usage stay. `by_whom`:
-- the deletion job, or NULL. Returns the ids that it changed.
CREATE FUNCTION forget(ids text[], by_whom text) RETURNS SETOF text LANGUAGE sql AS $$
    WITH target AS (
        SELECT j.id FROM job AS j JOIN result AS r ON r.id = j.id
        WHERE j.id = ANY (ids) AND j.forgotten_at IS NULL ORDER BY j.id FOR UPDATE OF j
    ), gone AS (
        UPDATE job AS j
        SET request = '', metadata = NULL, webhook_url = NULL, forgotten_at = now(),
            forgotten_by = by_whom
        FROM target AS t WHERE j.id = t.id
        RETURNING j.id
    ), ended AS (
        UPDATE result AS r SET body = NULL, error = without_texts(r.error)
        FROM gone AS g WHERE r.id = g.id
    ), told AS (
        UPDATE attempt AS a SET calls = without_texts(a.calls) FROM gone AS g WHERE a.job_id = g.id
    )
    SELECT g.id FROM gone AS g
$$;
