-- How each attempt of a delivery ended, the last ones of many: objects with `attempt`, `started_at` (unix
-- seconds), `response_status` and `error`. An attempt whose sender was lost has no end, and is not among
-- them.
ALTER TABLE webhook_delivery ADD COLUMN attempt_list jsonb NOT NULL DEFAULT '[]';
