-- What a result was charged for beside tokens at their full price, as JSON: `images`, `seconds` of audio,
-- `share` of the price in millionths. NULL where there is nothing of that.
ALTER TABLE result ADD COLUMN billed text;
