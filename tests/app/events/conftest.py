"""All tests of events run over gevent's sockets."""

import pytest


@pytest.fixture(autouse=True)
def over_gevent(gevent_sockets: None) -> None: ...
