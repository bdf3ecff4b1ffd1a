"""Runs the tests of this folder, Python's and Node's, against one stack: `make test-clients`."""

import os
import subprocess
import sys
from pathlib import Path

from tests.stacks import Stack

HERE = Path(__file__).parent


def main(python: str, options: list[str]) -> int:
    """Runs both with the client environment's `python`; returns the first exit code that is not
    0. `options` go to pytest."""
    for name in [n for n in os.environ if n.startswith("MOONPOOL_") or n.endswith("_API_KEY")]:
        del os.environ[name]
    with Stack({"MOONPOOL_OLLAMA_URL": ""}) as stack:
        env = {
            **os.environ,
            "OPENAI_BASE_URL": stack.base_url,
            "OPENAI_API_KEY": stack.key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        commands = (
            [python, "-m", "pytest", "-c", str(HERE / "pytest.ini"), str(HERE), *options],
            ["node", "--test", "--test-reporter=spec", str(HERE / "node")],
        )
        codes = [subprocess.run(command, env=env, check=False).returncode for command in commands]
    return next(filter(None, codes), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
