# All targets work in .venv of this checkout, and set it up where it is not. The command is then .venv/bin/learnd.
#
#   make demo      a completed run becomes a reviewed pattern, before your eyes
#   make test      every check: lint, types, imports, tests
#   make thorough  the further cases of what make test samples (10 minutes)
#   make lint      the checks that run nothing
#   make interop   the real producer, a real package, a real daemon (needs node)
#   make crash     the daemon killed at every point inside of every effect (an hour on two cores; EVERY=10: a tenth)
#   make faults    system calls under the log killed or failed, torn side files (15 minutes)
#   make controls  changes that fix nothing, none of which may be proven, and a hundred trials of a race (15 minutes)
#   make soak      bursts of runs, one in ten broken, a kill every two minutes (RUNS=2000 MINUTES=30, and the tail)
#   make bench-gates   the gates against drafts made for the purpose (bench/GATES.md)
#   make bench     measured ratios, each against its peer (ROWS=append,verify: only some)
#   make bench-evidence  real fixes of real packages through learnd (PAIRS=parse,h11: only some; needs node for npm's)
#
# A stamp in .venv says which lock file was installed last, so that a second run installs nothing.

SHELL := /bin/sh
.DEFAULT_GOAL := demo
.PHONY: demo test thorough lint interop crash faults controls soak bench bench-gates bench-evidence setup sandbox tracer units producer clean

NEWEST = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	"$$python" -c '$(NEWEST)' 2>/dev/null && { echo "$$python"; break; }; done)

EVERY ?= 1
RUNS ?= 2000
MINUTES ?= 30

BIN := .venv/bin
READY := .venv/.ready
PRODUCER := .interop/node_modules/@kbediako/codex-orchestrator

# Two more than there are cores: many tests wait for a daemon, a pause or a server.
WORKERS ?= $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) + 2 )))

# Root installs with apt, so does whoever needs no password for sudo; everybody else is told what to type.
AS_ROOT = as_root() { if [ "$$(id -u)" = 0 ]; then "$$@"; else sudo -n "$$@"; fi; }; \
	apt() { command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null; } \
	&& { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$$@" </dev/null >&2 \
	|| { as_root apt-get update -qq </dev/null >&2 \
	&& as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$$@" </dev/null >&2; }; }; }

demo: setup sandbox
	@$(BIN)/learnd demo

# Byte code first: where a limit or a full disk cuts its writing short, Python keeps and loads the torn file, and some
# tests run verbs under such limits.
test: lint sandbox tracer units
	@$(BIN)/python -m compileall -q events state learnd
	LEARND_TEST_PRODUCER="$(abspath $(wildcard $(PRODUCER)))" $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

thorough: setup sandbox tracer units
	@$(BIN)/python -m compileall -q events state learnd
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m thorough

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

interop: setup sandbox producer
	@$(BIN)/python tests/interop/run.py

crash: setup sandbox
	@$(BIN)/python tests/crash/run.py --every $(EVERY)

faults: setup tracer
	@$(BIN)/python tests/crash/faults.py

controls: setup sandbox
	CONTROLS=all $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/controls
	@$(BIN)/python tests/controls/race.py
	@$(BIN)/python tests/controls/race.py --only-with-change

soak: setup sandbox
	@$(BIN)/python soak/soak.py --runs $(RUNS) --minutes $(MINUTES)

bench-gates: setup
	@$(BIN)/python -m bench.gates

bench: setup
	@$(BIN)/python -m bench $(ROWS)

bench-evidence: setup sandbox
	@$(BIN)/python -m bench.evidence $(PAIRS)

setup: $(READY)

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "learnd needs Python 3.11 or newer, and none is on PATH. Next: install it, or make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@"$(PYTHON)" -c '$(NEWEST)' || { echo "$(PYTHON) is older than 3.11. Next: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { $(AS_ROOT); \
		package=$$("$(PYTHON)" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); apt "$$package" \
		|| { echo "$(PYTHON) cannot make environments. Next: install $$package" >&2; exit 1; }; }
	"$(PYTHON)" -m venv .venv

$(READY): requirements-dev.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Not having it is no error here: learnd says so itself, and in CI the tests that need it fail.
sandbox:
	@command -v bwrap >/dev/null || { $(AS_ROOT); apt bubblewrap; } \
		|| echo "Replays are not isolated without bubblewrap. Next: install the package bubblewrap" >&2

# The tests that make a disk fail do it through strace, and are skipped where it is not.
tracer:
	@command -v strace >/dev/null || { $(AS_ROOT); apt strace; } \
		|| echo "Some crash tests are skipped without strace. Next: install the package strace" >&2

# systemd judges the shipped units, and is booted in namespaces of its own to run them; without it that is skipped, in CI
# an error.
units:
	@command -v systemd-analyze >/dev/null && command -v dbus-daemon >/dev/null && command -v ss >/dev/null \
		|| { $(AS_ROOT); apt systemd dbus procps iproute2; } \
		|| echo "The systemd units are not tried without systemd. Next: install the packages systemd and dbus" >&2

producer: $(PRODUCER)/package.json

$(PRODUCER)/package.json: tests/interop/package-lock.json
	@command -v npm >/dev/null || { $(AS_ROOT); apt nodejs npm; } \
		|| { echo "The producer of run manifests needs node 20 and npm. Next: install nodejs and npm" >&2; exit 1; }
	@mkdir -p .interop && cp tests/interop/package.json tests/interop/package-lock.json .interop/
	cd .interop && npm ci --silent --no-audit --no-fund --ignore-scripts </dev/null
	@touch $@

clean:
	rm -rf .venv .interop build
