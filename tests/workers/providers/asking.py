"""What the tests of all adapters share: whom to ask, a call, and the way of an answer."""

from typing import Any

import pytest

from tests.workers.providers.vendors import vendors
from tests.workers.providers.vendors.base import (
    KEY,
    MODEL,
    Heard,
    Reply,
    Said,
    Vendor,
    base_url,
    events,
    playing,
    requests,
)
from workers.providers.base import Call, Completion
from workers.providers.collect import collect
from workers.providers.transport import GeventTransport

VENDORS = vendors()
every = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
kinds = pytest.mark.parametrize(
    "vendor", {one.kind: one for one in reversed(VENDORS)}.values(), ids=lambda vendor: vendor.name
)
ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])


def call(messages: list[dict[str, Any]] | None = None, **fields: Any) -> Call:
    request = {"messages": messages or [{"role": "user", "content": "hi"}], **fields}
    made = Call(request, MODEL)
    made.first_token_timeout = made.idle_timeout = 10
    return made


def answer(
    vendor: Vendor, transport: GeventTransport, one: Call, reply: Reply, streamed: bool
) -> tuple[Completion, Heard]:
    """What the adapter makes of a reply, and what the vendor heard."""
    with playing(reply) as server:
        provider = vendor.provider(transport, base_url(server), KEY)
        told = collect(provider.stream(one)) if streamed else provider.complete(one)
        [request] = requests(server)
        return told, vendor.heard(request)


def said(vendor: Vendor, what: Said, streamed: bool) -> Reply:
    return events(vendor.frames(what)) if streamed else Reply((vendor.whole(what),))
