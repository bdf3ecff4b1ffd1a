-- What a posting adds to a text's score (Robertson, Zaragoza 2009, The Probabilistic Relevance Framework,
-- equation 3.15): `times` that a lexeme of `weight` stands in a text of `words` words, where a text has
-- `mean_words` in the mean. app/ranking/bm25.py has k1, b and the weights.
CREATE FUNCTION bm25(
    weight float8, times int, words int, mean_words float8, k1 float8, b float8
) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN weight * times * (k1 + 1) / (times + k1 * (1 - b + b * words / mean_words));
