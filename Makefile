# Every target does all the set-up it needs; a fresh machine needs only python3 (3.11 or later) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
RESULTS ?= results
PYTEST_ARGS ?=
MINUTES ?= 55

.DEFAULT_GOAL := help
.PHONY: help setup bench test check slow mutants clean

help:
	@echo "make bench  compare the headline strategies on the testbed and on a small real model, here"
	@echo "make test   every test that is not slow"
	@echo "make check  format, lint, types, import arrows, documentation"
	@echo "make mutants  changes of the code that decides tokens, and which of them no test notices"
	@echo "make slow   long tests, and every property with forty times the examples"

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,docs]'
	touch $@

setup: $(STAMP)

bench: $(STAMP)
	mkdir -p $(RESULTS)
	$(BIN)/specframe bench --run $(RESULTS)/$$(date +%Y%m%d-%H%M%S) --json $(RESULTS)/bench.json

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

slow: $(STAMP)
	SPECFRAME_HYPOTHESIS_PROFILE=slow $(BIN)/python -m pytest -m "slow or hypothesis" $(PYTEST_ARGS)

mutants: $(STAMP)
	$(BIN)/python scripts/mutants.py --minutes $(MINUTES)

clean:
	rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis
