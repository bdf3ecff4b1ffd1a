"""Vendors of the conformance suite in `tests/workers/providers/test_adapters.py`.

Each module of this package but `base` describes vendors from their published API descriptions and
lists them in its `VENDORS`; the suite finds the modules by itself.
"""

import pkgutil
from importlib import import_module

from tests.workers.providers.vendors.base import Vendor


def vendors() -> list[Vendor]:
    """All vendors of the package, by module and in the order of its `VENDORS`."""
    names = [found.name for found in pkgutil.iter_modules(__path__) if found.name != "base"]
    return [vendor for name in names for vendor in import_module(f"{__name__}.{name}").VENDORS]
