# The first Python of the right age that really runs: version managers put launchers on the PATH
# that only print an error. Another one: make setup PYTHON=/path/to/python
AGE := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(or $(shell for p in python3.11 python3.12 python3.10 python3; do \
	$$p -c '$(AGE)' >/dev/null 2>&1 && { echo $$p; break; }; done),python3)
VENV ?= .venv
BIN := $(abspath $(VENV))/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint doctor clean distclean

help: ## say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' \
		| while IFS="$$(printf '\t')" read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

setup: ## make .venv and install the pinned stack (once several minutes, then nothing)
	@$(PYTHON) tools/setup_env --venv $(VENV) --python $(PYTHON)

demo: setup ## train, search and deposit one model for three tasks on the bundled images
	$(BIN)/python tools/demo.py

lint: setup ## ruff check and format, through pre-commit
	PATH="$(BIN):$$PATH" $(BIN)/pre-commit run --all-files

test: lint ## lint and all tests but those marked slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow"

test-all: lint ## lint and all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

doctor: ## say whether this environment can run the suite
	@if [ -x $(BIN)/python ]; then $(BIN)/python tools/doctor.py $(ARGS); \
	else $(PYTHON) tools/doctor.py $(ARGS); fi

clean: ## remove build outputs, caches and work_dirs
	rm -rf build dist work_dirs *.egg-info .ruff_cache .pytest_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv too
	rm -rf $(VENV)
