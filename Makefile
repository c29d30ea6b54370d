# Every target makes its own $(VENV) when it is missing. Bare `make` lists the targets.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
# PyTorch's own index, on a machine where a plain `pip install torch` would bring CUDA; empty: what pip is set up for.
TORCH_INDEX ?=
CONFIG ?= melody
ARGS ?=

BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
READY := $(VENV)/.installed
BENCH_READY := $(VENV)/.installed-bench
BROWSER_READY := $(VENV)/.installed-browser
FAST_TESTS = $(wildcard tests/unit tests/contracts tests/property tests/test_*.py)
# Two at a time, on any machine: each starts up to six processes, and half a gigabyte each is what the largest takes.
TWO := -n 2 --dist loadgroup
# One thread each: the same bits everywhere, and two processes on two cores do not fight.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install run demo run-broker test test-browser check integration bench screenshots soak audit clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:[^#]*## /|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo "  CONFIG=$(CONFIG) names the experiment of 'make run'; ARGS adds options, such as ARGS='--rounds 3'."

$(READY): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11")'
	@echo "Installing into $(VENV): about 70 packages (450 MB) and torch (750 MB). Once; a minute or two."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No virtual environment could be made. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PIP) $(if $(TORCH_INDEX),--retries 0 --timeout 5 --extra-index-url $(TORCH_INDEX)) torch
	$(PIP) -e '.[dev]'
	@touch $@

$(BENCH_READY): $(READY)
	@echo "Installing what only the benchmark needs (swergio, to compare with)."
	$(PIP) -e '.[bench]'
	@touch $@

$(BROWSER_READY): $(READY)
	@echo "Installing what drives a browser (playwright, 165 MB). The Chromium is the system's own."
	$(PIP) -e '.[browser]'
	@touch $@

install: $(READY) ## make .venv with everything in it

run: $(READY) ## the whole loop on this machine, until Ctrl-C
	$(BIN)/active-learner up $(CONFIG) $(ARGS)

demo: $(READY) ## digits: asking by uncertainty against asking at random; ends by itself
	$(BIN)/active-learner demo $(ARGS)

run-broker: $(READY) ## only the broker, for processes started by hand
	$(BIN)/active-learner broker $(ARGS)

test: $(BROWSER_READY) ## all tests: on all cores those that start no process, two at a time those that do, then the pages
	$(BIN)/python -m pytest -m "not integration" --ignore=tests/browser --require-every-row -n auto $(ARGS)
	$(BIN)/python -m pytest -m integration --ignore=tests/browser $(TWO) $(ARGS)
	$(BIN)/python -m pytest -m browser -rs $(TWO) tests/browser $(ARGS)

test-browser: $(BROWSER_READY) ## the pages in a real Chromium
	$(BIN)/python -m pytest -m browser -rs $(TWO) tests/browser $(ARGS)

check: $(READY) ## format, lint, types, security, layers, and all tests that start no process
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet -c pyproject.toml -r active_learner protocol
	$(BIN)/python -m pytest -m "not integration" --require-every-row -n 2 $(FAST_TESTS) $(ARGS)

integration: $(READY) ## tests that start real processes
	$(BIN)/python -m pytest -m integration $(TWO) tests/integration $(ARGS)

bench: $(BENCH_READY) ## measure relay, round trip and training step
	$(BIN)/active-learner bench $(or $(ARGS),all)

screenshots: $(BROWSER_READY) ## the pictures of the pages that the README shows
	$(BIN)/python -m tests.browser.screenshots $(ARGS)

soak: $(READY) ## the long forms of the proofs, hours; goes on where it was stopped; soak-NAME: one part
	$(BIN)/python -m tests.proofs.soak $(ARGS)

soak-%: $(READY)
	$(BIN)/python -m tests.proofs.soak $* $(ARGS)

audit: $(READY) ## known vulnerabilities of everything that is pinned
	$(BIN)/python .ci/audit.py $(CONSTRAINTS)

clean: ## remove .venv, caches and builds; runs/ stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find active_learner protocol tests -name __pycache__ -type d -prune -exec rm -rf {} +
