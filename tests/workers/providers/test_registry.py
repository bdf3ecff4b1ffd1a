"""Which adapter a provider of the catalogue gets, and what it is made with."""

from typing import Any

import pytest

from app.catalogue.model import Catalogue, ProviderSpec
from app.settings import Settings
from tests.workers.providers.vendors import vendors
from tests.workers.providers.vendors.base import Reply, Said, Vendor, base_url, playing, requests
from workers.providers.base import Call
from workers.providers.registry import Providers

FIRST = {vendor.kind: vendor for vendor in reversed(vendors())}
PATHS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta"}


def providers(kind: str, base: str, **spec: Any) -> Providers:
    told = ProviderSpec(kind=kind, base_url=base, **spec)
    return Providers(Catalogue("m", {"vendor": told}, {}, {}), Settings())


@pytest.mark.parametrize("vendor", FIRST.values(), ids=lambda vendor: vendor.kind)
def test_an_adapter_is_made_once_with_the_address_and_key_of_its_provider(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDOR_API_KEY", "sk-vendor")
    with playing(Reply((vendor.whole(Said()),))) as server:
        known = providers(
            vendor.kind, base_url(server) + PATHS[vendor.kind], api_key_env="VENDOR_API_KEY"
        )
        known.get("vendor").complete(Call({"messages": [{"role": "user", "content": "hi"}]}, "m"))
        [request] = requests(server)
    assert vendor.heard(request).key == "sk-vendor"
    assert known.get("vendor") is known.get("vendor")
