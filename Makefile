# Each target does its own set-up, into .venv and node_modules here.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CONFIG ?= examples/team-kit/addon.toml
MEMBERS := runtime plugins/issue_panel plugins/macro plugins/licensing plugins/sandbox
PROJECTS := $(MEMBERS:%=%/pyproject.toml)

.PHONY: help run test test-postgresql lint bench browser lock setup clean

help:
	@echo "make run      the add-on with all plugins inside a simulated Jira and Confluence"
	@echo "make test     all tests on SQLite; those in a browser need Chromium (make browser)"
	@echo "make test-postgresql  all tests on a PostgreSQL server that they start, or on ADDONKIT_TEST_DATABASE"
	@echo "make lint     ruff, mypy, import-linter"
	@echo "make bench    speed and memory against a bare ASGI application"
	@echo "make browser  install a Chromium for the browser tests"
	@echo "make lock     renew requirements.lock from requirements.in"

setup: .venv/ready node_modules/ready

.venv/ready: requirements.lock $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "addonkit needs Python 3.11 or later, found $$($(PYTHON) --version 2>&1); name one with PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the locked packages"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index $(MEMBERS:%=-e %)
	@touch $@

node_modules/ready: package.json package-lock.json
	@command -v npm >/dev/null || { echo "the sandbox needs npm; install Node.js 18 or later"; exit 1; }
	@echo "installing the host's JavaScript"
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

run: setup
	@$(BIN)/addonkit sandbox --config $(CONFIG)

test: setup
	@ADDONKIT_TEST_DATABASE=sqlite $(BIN)/python -m pytest $(ARGS)

test-postgresql: setup
	@ADDONKIT_TEST_DATABASE=$${ADDONKIT_TEST_DATABASE:-postgresql} $(BIN)/python -m pytest $(ARGS)

lint: setup
	@$(BIN)/ruff format --check --quiet . || { echo "run .venv/bin/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports | tail -n 8

bench: setup
	@$(BIN)/python benchmarks/run.py $(ARGS)

# Debian's package where we may install it, else the build that Playwright brings.
browser: setup
	@if $(BIN)/python tests/support/chromium.py; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq chromium; \
	else $(BIN)/python -m playwright install chromium; fi
	@$(BIN)/python tests/support/chromium.py

lock:
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --upgrade requirements.in -o requirements.lock

clean:
	rm -rf .venv node_modules
