"""Fuzzes targets for some minutes, led by coverage: `python -m tests.fuzz.run MINUTES [TARGET…]`.

Each target has a process of its own, which begins with the corpus of the tests and keeps what it
finds in FOLDER. Ends with 1 if a target failed; its input lies in FOLDER then, to be mended and put
into the corpus.
"""

import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent
FOLDER = Path("/tmp/moonpool-fuzz")
ONE = """
import sys, atheris
with atheris.instrument_imports(include=["app", "workers", "orjson", "json"]):
    from tests.fuzz.targets import TARGETS
atheris.Setup(sys.argv[1:], TARGETS[sys.argv[1]])
atheris.Fuzz()
"""


def fuzz(name: str, seconds: int) -> tuple[int, str]:
    """Fuzzes a target; the exit code, and what the fuzzer says of it at the end."""
    found = FOLDER / name
    found.mkdir(parents=True, exist_ok=True)
    argv = [
        sys.executable, "-c", ONE, name, str(found), str(HERE / "corpus" / name),
        f"-max_total_time={seconds}", "-max_len=4096", "-timeout=120", "-print_final_stats=1",
        f"-artifact_prefix={found}-", "-verbosity=0",
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    """Fuzzes the targets that are named, or all, one after the other in equal times."""
    minutes, *names = sys.argv[1:]
    chosen, failed = names or list(TARGETS), 0
    for name in chosen:
        code, said = fuzz(name, max(1, int(float(minutes) * 60 / len(chosen))))
        runs = [line for line in said.splitlines() if "number_of_executed_units" in line]
        print(f"{name}: {'fine' if code == 0 else 'FAILED'}; {' '.join(runs)}", flush=True)
        if code != 0:
            failed += 1
            print(said[-3000:], flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
