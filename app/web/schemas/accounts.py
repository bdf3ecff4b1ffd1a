"""Bodies by which keys, apps, tenants, users and their money are managed.

Who writes a body chooses nothing but these fields: owner, hash and the like are no fields here, and
an unknown one is refused by name (OWASP API Security Top 10 2023, API3, mass assignment).
"""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.accounts.bounds import (
    APP_ID,
    CAP_MAX,
    GRACE_MAX_S,
    LIFE_MAX_DAYS,
    NAME_MAX,
    PLAIN,
    SESSIONS_MAX,
)
from app.money import nanos_from_usd

SAFE_DIGITS = 15
"""Decimal digits that a double keeps (IEEE 754 binary64, DBL_DIG)."""


_DOLLARS = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    def given(self) -> dict[str, Any]:
        """The fields that the body has."""
        return self.model_dump(exclude_unset=True)


def _usd(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise PydanticCustomError("usd", "Input should be dollars, as a number or a string")
    if isinstance(value, float) and len(Decimal(str(value)).as_tuple().digits) > SAFE_DIGITS:
        raise PydanticCustomError("usd", "Input has more digits than a number in JSON keeps; send "
                                  "it as a string")  # fmt: skip
    if isinstance(value, str) and _DOLLARS.fullmatch(value) is None:
        raise PydanticCustomError("usd", "Input should be dollars such as 12.50")
    try:
        return nanos_from_usd(str(value))
    except ValueError:
        raise PydanticCustomError(
            "usd", "Input is too large, or finer than a nano-dollar"
        ) from None


def _written(bound: str) -> WithJsonSchema:
    """How dollars are written, as JSON Schema; `bound` is the keyword that bounds them by 0."""
    text = {"type": "string", "pattern": f"^{_DOLLARS.pattern}$"}
    return WithJsonSchema({"anyOf": [{"type": "number", bound: 0}, text]})


Usd = Annotated[int, BeforeValidator(_usd), Field(ge=0), _written("minimum")]
"""Written as dollars, in a number or a string; kept as nano-dollars."""

SomeUsd = Annotated[int, BeforeValidator(_usd), Field(gt=0), _written("exclusiveMinimum")]
"""More than nothing."""

TEXT = rf"^{PLAIN}*$"
Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX, pattern=TEXT)]
Note = Annotated[str, Field(min_length=1, max_length=500, pattern=TEXT)]
AppId = Annotated[str, Field(pattern=rf"^{APP_ID}$")]
Cap = Annotated[int, Field(ge=1, lt=CAP_MAX + 1)] | None
Sessions = Annotated[int, Field(ge=1, lt=SESSIONS_MAX + 1)] | None
Days = Annotated[int, Field(ge=1, le=3650)] | None
Email = Annotated[str, Field(max_length=254, pattern=r"^[!-?A-~]+@[!-?A-~]+$")]
Role = Literal["admin", "owner", "member", "viewer"]
Password = Annotated[str, Field(min_length=15, max_length=1024, pattern=TEXT)]
"""As long as it must be where it is the only factor (NIST SP 800-63B-4, section 3.1.1.2)."""


class NewKeyBody(_Strict):
    """A key to be made. A limit that is not named is the creator's own, or none."""

    name: Name
    mode: Literal["live", "test"] | None = None
    scopes: list[str] | None = Field(None, max_length=20)
    app_id: AppId | None = None
    expires_in_seconds: Annotated[int, Field(ge=1, le=LIFE_MAX_DAYS * 86_400)] | None = None
    expires_at: Annotated[int, Field(ge=1, lt=2**35)] | None = None
    requests_per_minute: Cap = None
    tokens_per_day: Cap = None
    sessions: Sessions = None

    @model_validator(mode="after")
    def _one_end(self) -> "NewKeyBody":
        if self.expires_at is not None and self.expires_in_seconds is not None:
            raise PydanticCustomError(
                "exclusive", "expires_at and expires_in_seconds exclude each other",
                {"param": "expires_at"},
            )  # fmt: skip
        return self


class KeyChangeBody(_Strict):
    """What may be changed of a key; null takes an app or a limit away."""

    name: Name = ""
    app_id: AppId | None = None
    requests_per_minute: Cap = None
    tokens_per_day: Cap = None
    sessions: Sessions = None


class RotateBody(_Strict):
    """How long the old key still opens."""

    grace_seconds: Annotated[int, Field(ge=0, le=GRACE_MAX_S)] = 0


class NewProviderKeyBody(_Strict):
    """`POST /v1/provider_keys`."""

    provider: str = Field(min_length=1, max_length=64)
    api_key: str = Field(min_length=1, max_length=4096, pattern=r"^[\x21-\x7e]+$")


class NothingBody(_Strict):
    """A body without fields."""


class NewAppBody(_Strict):
    """An app to be made."""

    id: AppId
    name: Name


class _TenantLimits(_Strict):
    requests_per_minute: Cap = None
    tokens_per_day: Cap = None
    sessions: Sessions = None
    retention_days: Days = None
    postpaid_limit_usd: Usd | None = None


class NewTenantBody(_TenantLimits):
    """A tenant to be made. `tier` defaults to the catalogue's."""

    name: Name
    tier: str | None = None


class TenantChangeBody(_TenantLimits):
    """What may be changed of a tenant; null takes a limit away."""

    name: Name = ""
    tier: str = ""
    disabled: bool = False


class MoneyBody(_Strict):
    """An amount that is booked, and why."""

    amount_usd: SomeUsd
    note: Note


class RefundBody(_Strict):
    """What is given back of a job's charge: all that is left, unless an amount is named."""

    amount_usd: SomeUsd | None = None
    note: Note


class NoteBody(_Strict):
    """Why a booking is undone."""

    note: Note


class NewUserBody(_Strict):
    """A user of the console."""

    email: Email
    role: Role
    password: Password


class UserChangeBody(_Strict):
    """What may be changed of a user."""

    role: Role = "viewer"
    disabled: bool = False
    password: Password = ""


class SignInBody(_Strict):
    """Who signs in."""

    email: Annotated[str, Field(max_length=254, pattern=TEXT)]
    password: Annotated[str, Field(max_length=1024)]
