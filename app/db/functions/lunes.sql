-- How a document stands, by its latest ingest. While a later job waits with what was sent, or is to
-- fetch it, the document is queued, whatever the one before made of it. One whose job has ended without
-- it, cancelled while it waited or crashed, has failed.
CREATE OR REPLACE VIEW lune_document_now AS
    SELECT d.id,
           CASE WHEN r.id IS NOT NULL THEN 'failed'
                WHEN w.job_id IS NOT NULL THEN 'queued' ELSE d.state END AS state,
           CASE WHEN r.id IS NOT NULL THEN r.error::jsonb
                WHEN w.job_id IS NULL THEN d.error END AS error,
           coalesce(w.job_id, d.job_id) AS job_id,
           greatest(w.created_at, d.updated_at) AS updated_at
    FROM lune_document AS d
    LEFT JOIN LATERAL (
        SELECT i.job_id, i.created_at FROM lune_intake AS i
        WHERE i.document_id = d.id AND i.job_id > d.job_id ORDER BY i.job_id DESC LIMIT 1
    ) AS w ON true
    LEFT JOIN result AS r ON r.id = coalesce(w.job_id, d.job_id)
        AND r.state IN ('failed', 'cancelled', 'expired')
        AND (w.job_id IS NOT NULL OR d.state IN ('queued', 'in_progress'));
