"""Schemathesis over a whole stack, as its operator: `python -m tests.conformance.openapi.run`.

Every operation of `/openapi.json` is asked with data that fits it, with data that does not, and in
sequences; each answer is held against what is described.
"""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import httpx

from app.accounts.scopes import SCOPES
from tests.conformance.conftest import tenant
from tests.stacks import Stack

HERE = Path(__file__).parent
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


def check(
    stack: Stack, *options: str, seconds: float, show: bool = False
) -> subprocess.CompletedProcess[str]:
    """Runs schemathesis with these options; its exit code is 0 if it found nothing. It changes
    whatever it finds on the stack, which nobody else should use. `show`: what it says is printed
    as it comes, and not kept."""
    key = tenant(stack, f"described-{secrets.token_hex(4)}", scopes=SCOPES)
    base = stack.base_url.removesuffix("/v1")
    me = httpx.get(f"{base}/v1/me", headers={"x-api-key": key}).json()
    env = os.environ | {
        "MOONPOOL_API_KEY": key,
        "MOONPOOL_OWN_IDS": f"{me['key']['id']},{me['tenant']['id']}",
        "SCHEMATHESIS_HOOKS": f"{__package__}.hooks",
        "PYTHONPATH": str(HERE.parents[2]),
    }
    argv = [str(SCHEMATHESIS), "--config-file", str(HERE / "schemathesis.toml"), "run"]
    return subprocess.run(
        [*argv, f"{base}/openapi.json", *options],
        env=env, capture_output=not show, text=True, timeout=seconds, check=False, cwd=stack.folder,
    )  # fmt: skip


def main() -> int:
    """A run as long as it takes, by default with all phases."""
    with Stack() as stack:
        return check(stack, *(sys.argv[1:] or ("-n", "50")), seconds=7200, show=True).returncode


if __name__ == "__main__":
    sys.exit(main())
