"""How what is asked finds what is remembered: the weights of a score, all in this place.

A memory's score is the sum of these parts:

- `meaning`: the cosine of its vector and the question's, and `words`: its BM25 score, each divided
  by the highest among the candidates as in `app/ranking/fusion.py`.
- `neighbours`: what the turns around it in its session lend it of these two.
- `recency` and `importance` (Park et al. 2023, Generative Agents, section 4.1), which weigh little:
  what happened long ago is as likely to be asked for.
- `spread`: what it loses for each better memory of the same session, so that one session does not
  take all places (after Carbonell, Goldstein 1998, The Use of MMR).
"""

from collections.abc import Mapping

WEIGHTS: Mapping[str, float] = {
    "meaning": 0.4,
    "words": 0.6,
    "neighbours": 0.2,
    "recency": 0.05,
    "importance": 0.1,
    "spread": 0.02,
}
"""The weight of each part. That of `neighbours` is lent at distance 1 and its square at distance 2.
The first three and `spread` were chosen on two conversations of LoCoMo, each alone and with the
other's sessions mixed in, told of the same persons."""

STAYS_PER_HOUR = 0.995
"""What is left of a memory's recency after an hour without use (Park et al. 2023)."""

CANDIDATES = 40
"""How many are taken for their meaning, and how many for their words; all others score nothing."""

COMMON = 4000
"""A lexeme that more memories of a shelf have is not counted at each search."""

COUNTED_DAYS = 1.0
"""After so long a common lexeme is counted anew."""

EXACT_MAX = 8000
"""Up to so many memories every vector is compared; among more the index finds the nearest."""
