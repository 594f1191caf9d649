# Each target does its own set-up, into .venv and node_modules here.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CONFIG ?= examples/team-kit/addon.toml
MEMBERS := runtime plugins/issue_panel plugins/macro plugins/licensing plugins/sandbox
PROJECTS := $(MEMBERS:%=%/pyproject.toml)

.PHONY: help run test test-all test-postgresql test-pythons lint mutants bench soak browser forge lock runtime-lock packages release \
	setup bytecode clean

help:
	@echo "make run              serve the example add-on inside a simulated Jira and Confluence"
	@echo "make test             run the tests on SQLite, without browser, crash, foreign-add-on and Forge tests"
	@echo "make test-all         run all tests on both databases: the full check"
	@echo "make test-postgresql  run the tests on PostgreSQL, or on the server that ADDONKIT_TEST_DATABASE names"
	@echo "make test-pythons     test with Python 3.11 to 3.13, as far as they are installed; VERSION=3.12 names one"
	@echo "make lint             run ruff, mypy and import-linter"
	@echo "make mutants ROOM=protocol [SAMPLE=200 SEED=1]  change the code of a room, and list what no test notices"
	@echo "make bench            measure speed and memory against a bare ASGI application"
	@echo "make soak MINUTES=60  load two machines with a failover of the database in the middle, and print figures"
	@echo "make browser          install a Chromium for the browser tests"
	@echo "make forge            install Forge's npm packages for the tests of manifests"
	@echo "make lock             update all lock files from their .in files"
	@echo "make runtime-lock     update deploy/runtime*.lock from requirements.lock"
	@echo "make packages         build, check and try the packages, in dist/"
	@echo "make release VERSION=1.2.3  set the version, write the changelog, and make packages"

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

# A module's tests stay together, for many share one add-on. Three processes fill two cores, because tests spend a fifth
# of their time waiting. Bytecode is cached while tests are collected, also where the environment turns that off.
PROCESSES ?= 3
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile

# Tests start hundreds of processes, which do not cache the bytecode of what they import.
bytecode: setup
	@$(BIN)/python -m compileall -q $(MEMBERS)

test: bytecode
	@ADDONKIT_TEST_DATABASE=sqlite $(PYTEST) -m "not browser and not crash and not foreign and not forge and not soak" $(ARGS)

test-postgresql: bytecode
	@ADDONKIT_TEST_DATABASE=$${ADDONKIT_TEST_DATABASE:-postgresql} $(PYTEST) -m "not browser and not foreign and not forge and not soak" $(ARGS)

test-all: export ADDONKIT_REQUIRE_BROWSER = 1
test-all: export ADDONKIT_REQUIRE_FORGE = 1
test-all: export ADDONKIT_REQUIRE_POSTGRESQL = 1
test-all: SKIPS = --expected-skips tests/expected_skips.txt
test-all: bytecode browser forge
	@echo "SQLite: all tests"
	@ADDONKIT_TEST_DATABASE=sqlite $(PYTEST) $(SKIPS) -m "not soak" $(ARGS)
	@echo "PostgreSQL: all tests that can differ"
	@ADDONKIT_TEST_DATABASE=postgresql $(PYTEST) $(SKIPS) -m "not browser and not foreign and not forge" $(ARGS)

# With each Python that is found: the example add-on from deploy/runtime.lock, and a part of the tests.
test-pythons: setup
	@$(BIN)/python tools/interpreters.py test $(VERSION) --pytest "$(ARGS)"

lint: setup
	@$(BIN)/ruff format --check --quiet . || { echo "run .venv/bin/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports | tail -n 8

# Changes code in memory and runs the tests that reach it. No SAMPLE means 200 mutants, and for the room protocol all.
mutants: bytecode .venv-mutants/ready
	@test -n "$(ROOM)" || { echo "name a room of runtime/addonkit: make mutants ROOM=protocol"; exit 1; }
	@ADDONKIT_TEST_DATABASE=sqlite $(BIN)/python tools/mutants/run.py $(ROOM) $(SAMPLE:%=--sample %) $(SEED:%=--seed %)

.venv-mutants/ready: tools/mutants.lock
	@$(PYTHON) -m venv --clear .venv-mutants
	@.venv-mutants/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tools/mutants.lock
	@touch $@

bench: bytecode
	@$(BIN)/python benchmarks/run.py $(ARGS)

# Needs nginx. With Prometheus, it evaluates the dashboard's queries; otherwise only their series are looked for.
MINUTES ?= 60
soak: setup
	@ADDONKIT_SOAK_MINUTES=$(MINUTES) ADDONKIT_TEST_DATABASE=postgresql $(BIN)/python -m pytest -s -q -m soak tests/scenarios/test_soak.py $(ARGS)

# Debian's package where we may install it, else the build that Playwright brings.
browser: setup
	@if $(BIN)/python tests/support/chromium.py; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq chromium; \
	else $(BIN)/python -m playwright install chromium; fi
	@$(BIN)/python tests/support/chromium.py

forge: tests/forge/node_modules/ready

tests/forge/node_modules/ready: tests/forge/package.json tests/forge/package-lock.json
	@command -v npm >/dev/null || { echo "the tests of Forge manifests need npm; install Node.js 20 or later"; exit 1; }
	@echo "installing Forge's npm packages for the tests"
	@npm ci --prefix tests/forge --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

LOCK := -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --upgrade

lock:
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/python $(LOCK) requirements.in -o requirements.lock
	@$(BIN)/python $(LOCK) tools/release.in -o tools/release.lock
	@$(BIN)/python $(LOCK) tools/mutants.in -o tools/mutants.lock
	@$(BIN)/python $(LOCK) benchmarks/engines/requirements.in -o benchmarks/engines/requirements.lock
	@$(BIN)/python tools/runtime_lock.py

# For a change of what the packages need: takes over the versions of requirements.lock, and updates none.
runtime-lock:
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/python tools/runtime_lock.py

.venv-release/ready: tools/release.lock
	@$(PYTHON) -m venv --clear .venv-release
	@.venv-release/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tools/release.lock
	@touch $@

packages: .venv-release/ready
	@rm -rf dist
	@.venv-release/bin/python tools/release.py build dist
	@.venv-release/bin/python tools/release.py verify dist

release: .venv-release/ready
	@test -n "$(VERSION)" || { echo "name the version: make release VERSION=1.2.3"; exit 1; }
	@.venv-release/bin/python tools/release.py set $(VERSION)
	@.venv-release/bin/towncrier build --yes --version $(VERSION)
	@$(MAKE) packages

clean:
	rm -rf .venv .venv-release .venv-mutants .bench node_modules tests/forge/node_modules dist
