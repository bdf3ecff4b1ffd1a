"""How far feedback may move a trait, and the proof that it never gets further.

A tenant's trait is the operator's baseline b plus the tenant's drift d; feedback changes d alone.
All numbers are whole millionths of a trait, so that nothing is rounded. With the operator's bounds
T (`total`) and D (`daily`), and with s, the drift that the day (UTC) began with,

    B = [max(-T, -b), min(T, 1 - b)]      every drift that leaves the trait within T of the
                                          baseline and within 0..1
    A = B ∩ [s - D, s + D]                those of them that are open today

and the invariant is

    (I)  s ∈ B  and  d ∈ A.

Proof, by induction over all that happens to a trait:

- At first d = s = 0. As 0 <= b <= 1 and T >= 0, 0 ∈ B; as D >= 0, 0 ∈ A.
- A is never empty where s ∈ B: s itself is in it. As the intersection of intervals it is one, so
  the nearest point of it to any wish is the wish clipped at its ends.
- Feedback (`moved`) wishes for d + step and gets the nearest point of A, whatever it is. s stays.
- A new day (`held`, `new_day`) puts s = d, and d ∈ B. Then |d - s| = 0 <= D.
- The operator moves b, T or D (`held`): s goes to the nearest point of the new B, then d to the
  nearest of the new A, which is not empty since s ∈ B; on a new day d goes to the nearest of the
  new B, and s = d, since a new D does not reach back to what other days were allowed. This is done
  whenever a trait is read, and kept at its next write; so no reader ever sees a trait beyond the
  bounds of now, whichever it was moved under. The operator's own moves of b are no drift: the trait
  goes with its baseline.
- A rollback (`returned`) wishes for an earlier drift r and gets the nearest point of B. Where that
  is further than D from s, s moves there too: a rollback is the tenant's order, and what feedback
  may do from there on this day is bounded by D again.
- Two at once: whoever moves a tenant's traits locks the tenant's row of `evolution` first, so that
  each of these steps begins from the end of another.

What follows: feedback alone moves a trait at most D in a day, n D in n days that follow one
another, and T in all, from any number of callers and with any ratings. (Moves of D on both sides of
midnight may lie close together, so within 24 hours that are no day it may be 2 D.)
"""

from typing import NamedTuple

MILLION = 1_000_000


class Bounds(NamedTuple):
    """How far a trait may drift from its baseline in all, and in a day, in millionths."""

    total: int
    daily: int


class Drift(NamedTuple):
    """A tenant's drift in a trait, and the drift that its day began with, in millionths."""

    now: int
    day_start: int


NONE = Drift(0, 0)


def millionths(share: float) -> int:
    """A number from 0 to 1 as whole millionths."""
    return round(share * MILLION)


def share(whole: int) -> float:
    """Whole millionths as a number."""
    return whole / MILLION


def within(baseline: int, bounds: Bounds) -> tuple[int, int]:
    """The ends of B: the least and the greatest drift from this baseline."""
    return max(-bounds.total, -baseline), min(bounds.total, MILLION - baseline)


def open_today(day_start: int, baseline: int, bounds: Bounds) -> tuple[int, int]:
    """The ends of A for a `day_start` in B."""
    low, high = within(baseline, bounds)
    return max(low, day_start - bounds.daily), min(high, day_start + bounds.daily)


def held(drift: Drift, baseline: int, bounds: Bounds, *, new_day: bool = False) -> Drift:
    """The drift within today's bounds, whatever it was moved under; with `new_day` as the start of
    a day."""
    ends = within(baseline, bounds)
    if new_day:
        now = clipped(drift.now, ends)
        return Drift(now, now)
    start = clipped(drift.day_start, ends)
    return Drift(clipped(drift.now, open_today(start, baseline, bounds)), start)


def moved(drift: Drift, step: int, baseline: int, bounds: Bounds) -> Drift:
    """A held drift after feedback that wishes for `step`."""
    wish = drift.now + step
    return Drift(clipped(wish, open_today(drift.day_start, baseline, bounds)), drift.day_start)


def returned(drift: Drift, wish: int, baseline: int, bounds: Bounds) -> Drift:
    """A held drift after a rollback to `wish`."""
    now = clipped(wish, within(baseline, bounds))
    near = abs(now - drift.day_start) <= bounds.daily
    return Drift(now, drift.day_start if near else now)


def keeps(drift: Drift, baseline: int, bounds: Bounds) -> bool:
    """Whether the invariant (I) holds."""
    low, high = within(baseline, bounds)
    near = abs(drift.now - drift.day_start) <= bounds.daily
    return low <= drift.day_start <= high and low <= drift.now <= high and near


def clipped(wish: int, ends: tuple[int, int]) -> int:
    """The nearest point of an interval to `wish`."""
    return max(ends[0], min(wish, ends[1]))
