"""The demo tenant: made once, with credit and a key that the first commands can use."""

from pathlib import Path

from app.accounts.store import create_key, find_key
from app.accounts.tenants import create_tenant, find_tenant
from app.db.connect import Connection
from app.ledger.store import add_credit
from app.money import NANOS
from app.stack.private import write_private

TENANT = "demo"
CREDIT = 10 * NANOS


def key_path(home: Path) -> Path:
    """Where the demo key lies in plain text, readable by the owner of the stack alone."""
    return home / "demo.key"


def read_key(home: Path) -> str | None:
    """The demo key, or None if none was made."""
    try:
        return key_path(home).read_text().strip() or None
    except OSError:
        return None


def ensure_demo(connection: Connection, home: Path) -> str:
    """The demo key. Makes the tenant with 10 dollars if there is none, and a key if there is none
    that this database knows."""
    key = read_key(home)
    with connection.transaction():
        tenant_id = find_tenant(connection, TENANT)
        if tenant_id is None:
            tenant_id = create_tenant(connection, TENANT)
            add_credit(connection, tenant_id, CREDIT, "demo credit")
        if key is None or find_key(connection, key) is None:
            key = create_key(connection, tenant_id, TENANT).key
            write_private(key_path(home), key)
    return key
