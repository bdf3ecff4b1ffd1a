-- Where in the ledger a moment is: all transfers made at that moment or later have this number or a
-- greater one. Numbers are given when a row is inserted, times when its transaction begins, so both
-- orders differ by as long as a transaction takes; five minutes are far more.
CREATE OR REPLACE FUNCTION transfer_at(moment timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low   bigint := 1;
    high  bigint := (SELECT coalesce(max(seq), 0) + 1 FROM transfer);
    half  bigint;
    found record;
BEGIN
    WHILE low < high LOOP
        half := low + (high - low) / 2;
        SELECT seq, created_at INTO found FROM transfer WHERE seq >= half ORDER BY seq LIMIT 1;
        IF found.created_at < moment - interval '5 minutes' THEN
            low := found.seq + 1;
        ELSE
            high := half;
        END IF;
    END LOOP;
    RETURN low;
END $$;
