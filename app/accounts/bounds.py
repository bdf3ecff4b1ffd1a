"""What may be said of keys, apps and tenants, by the API and by the command line alike."""

PLAIN = r"[^\x00-\x1f\x7f]"
"""A character that is no control character, as a regular expression has it."""

NAME_MAX = 200
APP_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
CAP_MAX = 2**63 - 1
SESSIONS_MAX = 2**31 - 1
LIFE_MAX_DAYS = 3660
GRACE_MAX_S = 604_800
