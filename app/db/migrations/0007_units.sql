-- Prices of what is not counted in tokens: nano-dollars for an image, and for a minute of audio.
ALTER TABLE price
    ADD COLUMN image bigint NOT NULL DEFAULT 0,
    ADD COLUMN minute bigint NOT NULL DEFAULT 0;
