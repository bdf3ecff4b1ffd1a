.DEFAULT_GOAL := help
.PHONY: help run test test-clients test-api fuzz check format lock bench bench-peers clean

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && command -v $$p && break; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install
# The locks are complete but for what pyproject.toml leaves out, which pip must not fetch.
INSTALL := $(PIP) --no-deps --require-hashes
LOCK := $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-strip-markers \
	--no-emit-index-url --no-header

CLIENTS := .venv-clients

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */|/' | \
		while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done
	@echo
	@echo '  MOONPOOL_PORT and MOONPOOL_DATA_DIR choose port and data directory:'
	@echo '  MOONPOOL_PORT=8100 MOONPOOL_DATA_DIR=/tmp/moon make run'

run: $(VENV)/.locked ## Install what is locked, then start everything; Ctrl-C stops it
	@exec $(BIN)/moonpool up

test: check $(VENV)/.chromium ## Install what is locked, then run all checks and tests
	@echo '==> pytest'; $(BIN)/pytest -n 2 --dist loadgroup -m 'not chaos'
	@echo '==> pytest, what kills processes'; $(BIN)/pytest -n 2 --dist loadgroup -m chaos

test-clients: $(VENV)/.locked-dev $(CLIENTS)/.locked ## Run other people's clients, Python's and Node's, against a stack
	@$(BIN)/python -m tests.clients.run $(CLIENTS)/bin/python

test-api: $(VENV)/.locked-dev ## Ask a whole stack all that its OpenAPI description says
	@$(BIN)/python -m tests.conformance.openapi.run

fuzz: $(VENV)/.locked-dev ## Fuzz parsers and schemas for MINUTES (10)
	@$(BIN)/python -m tests.fuzz.run $(or $(MINUTES),10)

check: $(VENV)/.locked-dev ## Run the checks without the tests
	@echo '==> ruff check'; $(BIN)/ruff check .
	@echo '==> ruff format --check'; $(BIN)/ruff format --check .
	@echo '==> mypy'; $(BIN)/mypy
	@echo '==> import contracts'; $(BIN)/lint-imports

format: $(VENV)/.locked-dev ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(VENV)/.locked-dev ## Resolve the dependencies anew into both lock files
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(LOCK) --no-config tests/clients/requirements.in -o tests/clients/requirements.lock

bench: $(VENV)/.locked-dev ## Measure this stack against its provider called directly
	@$(BIN)/python bench/run.py

bench-peers: $(VENV)/.locked-dev ## Measure this stack against other gateways
	@$(BIN)/python bench/peers.py

clean: ## Remove .venv and caches; data directories stay
	rm -rf $(VENV) .venv-peers $(CLIENTS) tests/clients/node/node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than the lock and pyproject.toml once they are installed.
$(VENV)/.locked: requirements.lock pyproject.toml
	@$(MAKE) --quiet --no-print-directory $(BIN)/pip
	@echo '==> installing requirements.lock (a minute or two the first time)'
	@$(INSTALL) -r requirements.lock
	@echo '==> installing moonpool'
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@touch $@

# The development lock holds all of the other, at the same versions.
$(VENV)/.locked-dev: requirements-dev.lock pyproject.toml
	@$(MAKE) --quiet --no-print-directory $(BIN)/pip
	@echo '==> installing requirements-dev.lock (a few minutes the first time)'
	@$(INSTALL) -r requirements-dev.lock
	@echo '==> installing moonpool'
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@touch $(VENV)/.locked $@

# Debian's Chromium, for the tests of pages. Where it is not there and cannot be had, they are skipped.
$(VENV)/.chromium: | $(VENV)/.locked-dev
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo '==> installing chromium'; \
		{ timeout 300 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 900 \
			apt-get install -qq -y --no-install-recommends chromium; } >/dev/null 2>&1 || \
			echo 'Chromium could not be installed: tests/browser are skipped' >&2; \
	fi
	@if command -v chromium >/dev/null; then touch $@; fi

$(CLIENTS)/.locked: tests/clients/requirements.lock tests/clients/node/package-lock.json | $(VENV)/.locked-dev
	@echo '==> making $(CLIENTS) of tests/clients/requirements.lock (a few minutes)'
	@$(BIN)/python -m venv --clear $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r tests/clients/requirements.lock
	@npm ci --prefix tests/clients/node --no-audit --no-fund --silent
	@touch $@

# pip comes last into a new environment, so one that was interrupted is made again.
$(BIN)/pip:
	@test -n '$(PYTHON)' || { echo 'Moonpool needs Python 3.11, 3.12 or 3.13: make run PYTHON=/path/to/python3.11' >&2; exit 2; }
	@echo "==> making $(VENV) with $(PYTHON)"
	@$(PYTHON) -c '$(SUPPORTED)' || { echo '$(PYTHON) is not Python 3.11, 3.12 or 3.13' >&2; exit 2; }
	@$(PYTHON) -m venv --clear $(VENV)
