"""Sends what is due: bounded in number and time, outside of any transaction.

A delivery is made at least once. Its `webhook-id` is the event's, the same at every attempt, so
that a receiver can tell a repetition. While an old secret overlaps with the new one, a delivery
carries the signatures of both.
"""

import ssl
import time
from datetime import UTC
from functools import partial

import gevent
import httpx
from gevent.pool import Pool
from standardwebhooks import Webhook

from app.db.reads import Reads
from app.errors import Unavailable
from app.outbound import Guard, GuardedTransport, Refused, Resolver, read_capped, resolve
from app.settings import Settings, listed
from app.telemetry import log
from app.vault import Vault
from app.webhooks import store
from app.webhooks.model import GIVE_UP_S, Outcome, Parcel, new_secret

AT_ONCE = 64
"""Requests at once in a worker process, one an endpoint."""

TIMEOUT_S = 10.0
LEASE_S = 60.0
"""Longer than it takes to wait for a free greenlet, to send and to record."""

TURN_S = 5.0
"""How long a turn goes on to claim, so that a worker that is asked to stop is not held up."""

DISPATCH = 500
ANSWER_MAX = 64 * 1024
ERROR_MAX = 200


class Courier:
    """The sender of one worker process; its greenlets are bounded over all turns."""

    def __init__(
        self,
        settings: Settings,
        *,
        resolver: Resolver = resolve,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        guard = Guard(listed(settings.webhook_allow), resolver)
        self._transport = GuardedTransport(guard, tls)
        self._vault = Vault(settings)
        self._reads = Reads(settings.postgres, "webhooks")
        self._pool = Pool(AT_ONCE)
        self._timeout_s = timeout_s

    def turn(self) -> None:
        """Dispatches events and sends what is due, until there is no more or TURN_S have passed and
        the last answer is there. Raises Unavailable if Postgres is away."""
        until = time.monotonic() + TURN_S
        self._reads.run(partial(store.dispatch, limit=DISPATCH, seal=self._fresh_secret))
        self._reads.run(partial(store.give_up, held_s=GIVE_UP_S, limit=DISPATCH))
        parcels = self._claim(self._pool.free_count())
        gevent.joinall([self._pool.spawn(self._carry, parcel, until) for parcel in parcels])

    def _fresh_secret(self) -> str:
        return self._vault.seal(new_secret().encode())

    def _claim(self, limit: int) -> list[Parcel]:
        return self._reads.run(partial(store.claim, limit=limit, lease_s=LEASE_S))

    def _carry(self, parcel: Parcel, until: float) -> None:
        """Sends one parcel after another."""
        try:
            parcels = [parcel]
            while parcels:
                self._deliver(parcels[0])
                parcels = self._claim(1) if time.monotonic() < until else []
        except Unavailable as error:
            # What was claimed is due again when its lease ends.
            log("webhooks").error("outcome not recorded", error=str(error))

    def _deliver(self, parcel: Parcel) -> None:
        outcome = self.send(parcel)
        state = self._reads.run(partial(store.record, parcel=parcel, outcome=outcome))
        if not outcome.delivered:
            log("webhooks").warning(
                "not delivered", name=parcel.id, attempt=parcel.attempt, state=state,
                status=outcome.status, error=outcome.error,
            )  # fmt: skip

    def send(self, parcel: Parcel) -> Outcome:
        """Sends one request, signed, and waits for its answer; `timeout_s` bounds the whole."""
        try:
            with gevent.Timeout(self._timeout_s):
                return self._exchange(self._request(parcel))
        except gevent.Timeout:
            return Outcome(None, f"no answer within {self._timeout_s:g} s")
        except Refused as refused:
            return Outcome(None, f"the URL is refused: {refused}")
        except httpx.TimeoutException:
            return Outcome(None, f"no answer within {self._timeout_s:g} s")
        except httpx.TransportError as error:
            return Outcome(None, f"{type(error).__name__}: {error}"[:ERROR_MAX])
        except Exception as error:
            # Whatever it is, it must count as an attempt, or the delivery would never end.
            log("webhooks").error("not sent", name=parcel.id, error=repr(error), exc_info=True)
            return Outcome(None, "the request could not be made")

    def _request(self, parcel: Parcel) -> httpx.Request:
        body = parcel.body
        sent_at = parcel.sent_at.astimezone(UTC)
        signers = [Webhook(self._vault.open(sealed).decode()) for sealed in parcel.secrets]
        signatures = [s.sign(parcel.event_id, sent_at, body.decode()) for s in signers]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Moonpool",
            "Accept-Encoding": "identity",
            "webhook-id": parcel.event_id,
            "webhook-timestamp": str(int(sent_at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        timeout = {"timeout": httpx.Timeout(self._timeout_s).as_dict()}
        return httpx.Request("POST", parcel.url, headers=headers, content=body, extensions=timeout)

    def _exchange(self, request: httpx.Request) -> Outcome:
        response = self._transport.handle_request(request)
        try:
            # Read for the receiver's sake, which may still be writing; the status has decided.
            read_capped(response, ANSWER_MAX)
        except (httpx.TransportError, gevent.Timeout) as error:
            log("webhooks").info("answer cut short", status=response.status_code, error=str(error))
        finally:
            response.close()
        status = response.status_code
        return Outcome(status, None if 200 <= status <= 299 else f"answered {status}")
