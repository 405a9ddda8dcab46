# Everything runs in .venv, which is made when it is missing. Needs Python 3.11+ and a package index.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check

.PHONY: demo test check bench bench-table format clean

demo: .venv/installed
	$(BIN)/mockserver demo

test: .venv/tested
	$(BIN)/python -m pytest -q

check: .venv/tested
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# A quarter of an hour's calm on two cores tells most; see tests/benchmarks/README.md.
bench: .venv/tested
	$(BIN)/python tests/benchmarks/__main__.py

# Writes what `make bench` has found into the pages that show it.
bench-table: .venv/tested
	$(BIN)/python tests/benchmarks/publish.py

format: .venv/tested
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv bench-results.json demo-results dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/node/node_modules
	find mockserver contracts tests -name __pycache__ -prune -exec rm -rf {} +

# The stamps remember which pyproject.toml was installed.
.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name one: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(PIP) install --editable '.[all]'
	touch $@

.venv/tested: .venv/installed
	$(PIP) install --editable '.[all,dev]'
	touch $@
