"""Work that keeps a core busy, done beside gevent's hub so that all other greenlets go on."""

import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from gevent import monkey
from gevent.threadpool import ThreadPool

Params = ParamSpec("Params")
Result = TypeVar("Result")

_pools: dict[int, ThreadPool] = {}


def apart(work: Callable[Params, Result], *args: Params.args, **named: Params.kwargs) -> Result:
    """What `work` gives or raises. In a process of gevent it runs in the one thread there is for
    such work, in turn, and must not use what gevent has patched; elsewhere it just runs.

    A greenlet that is ended while it waits leaves at once; the work itself goes on to its end.
    """
    if not monkey.is_module_patched("threading"):
        return work(*args, **named)
    # The hub's own threads look up names, and must not wait behind this. A fork has none of them.
    pool = _pools.get(os.getpid())
    if pool is None:
        pool = _pools[os.getpid()] = ThreadPool(1)
    result: Result = pool.apply(work, args, named)
    return result
