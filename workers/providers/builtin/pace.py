"""When the tokens of a builtin provider come."""

from time import monotonic

import gevent

from workers.providers.base import Call, ProviderError


class Pace:
    """Waits until each token is due, on a schedule kept from the start so that lateness does not
    add up. A wait longer than the call allows ends in ProviderError `timeout` when the call's
    first-token or idle timeout is over.

    `first_after`: seconds to the first token. `tokens_per_second`: 0 is as fast as possible.
    """

    def __init__(self, call: Call, *, tokens_per_second: float = 0, first_after: float = 0) -> None:
        self._call = call
        self._gap = 1 / tokens_per_second if tokens_per_second else 0.0
        self._wait = first_after
        self._due = monotonic()
        self._started = False

    @property
    def even(self) -> bool:
        """Whether each token has its own time."""
        return self._gap > 0

    def wait(self) -> None:
        """Waits for the next token."""
        if self._wait > self._patience():
            self.stall()
        self._due += self._wait
        delay = self._due - monotonic()
        if delay > 0:
            gevent.sleep(delay)
        self._started, self._wait = True, self._gap

    def stall(self) -> None:
        """Waits for a token that does not come; raises ProviderError `timeout`."""
        patience = self._patience()
        gevent.sleep(patience)
        what = "further token" if self._started else "first token"
        raise ProviderError("timeout", f"No {what} within {patience:g} s.")

    def _patience(self) -> float:
        return self._call.idle_timeout if self._started else self._call.first_token_timeout
