# The make of the mm libraries: OneDL's forks, or OpenMMLab's own (make test STACK=openmmlab).
STACK ?= onedl
ifeq ($(STACK),onedl)
VENV ?= .venv
UNHOOKED :=
DEMO := work_dirs/demo
DEMO_SCENES := work_dirs/demo_scenes
NEWEST := 12
else ifeq ($(STACK),openmmlab)
VENV ?= .venv-openmmlab
# Types are those of the newer torch, which has more of them.
UNHOOKED := types
DEMO := work_dirs/demo-openmmlab
DEMO_SCENES := work_dirs/demo_scenes-openmmlab
# The last Python that torch 2.1.2 has a wheel for.
NEWEST := 11
else
$(error there is no stack '$(STACK)': say STACK=onedl or STACK=openmmlab)
endif

# The first Python of the right age that really runs: version managers put launchers on the PATH
# that only print an error. Another one: make setup PYTHON=/path/to/python
AGE := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $(NEWEST)))
PYTHON ?= $(or $(shell for p in python3.11 python3.12 python3.10 python3; do \
	$$p -c '$(AGE)' >/dev/null 2>&1 && { echo $$p; break; }; done),python3)
BIN := $(abspath $(VENV))/bin

QUICK := --rounds 3 --threads 1

# Two processes of tests. A file of tests stays in one, with what its tests build once. In the order
# of their names the last ones are short; by the number of tests, those of one long test would be.
SPREAD := -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-scenes test test-all lint bench docs doctor clean distclean

help: ## say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' \
		| while IFS="$$(printf '\t')" read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done
	@echo "With STACK=openmmlab, any of them on OpenMMLab's own libraries, in .venv-openmmlab."

setup: ## make .venv and install the pinned stack (once several minutes, then nothing)
	@$(PYTHON) tools/setup_env --stack $(STACK) --venv $(VENV) --python $(PYTHON)

demo: setup ## train, search and deposit one model for three tasks on the bundled images
	$(BIN)/python tools/demo.py --work-dir $(DEMO)

demo-scenes: setup ## four dense tasks on the same rendered images: in one pass, and each alone
	$(BIN)/python tools/demo_scenes.py --work-dir $(DEMO_SCENES)

lint: setup ## ruff check and format, and types, through pre-commit
	SKIP=$(UNHOOKED) PATH="$(BIN):$$PATH" $(BIN)/pre-commit run --all-files

test: lint ## lint and all tests but those marked slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SPREAD) -m "not slow"

test-all: lint ## lint and all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SPREAD)

bench: setup ## the quick benchmarks of docs/speed.md, some minutes; nothing is written
	@for run in 'ledger.py --count 1000 --rounds 3' \
		'selection.py --count 100 --tasks 3 --policies Sequential Mask --fronts Mask' \
		'attention.py $(QUICK)' 'elastic.py $(QUICK)' 'sharing.py $(QUICK)' 'swin.py $(QUICK)' \
		'sandwich.py $(QUICK)'; do \
		echo "python benchmarks/$$run"; $(BIN)/python benchmarks/$$run || exit; done

# The site needs neither torch nor the mm libraries: everything is read from the source.
docs: .venv-docs/installed ## the documentation site, work_dirs/site/index.html, checked
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict
	@echo "open work_dirs/site/index.html"

.venv-docs/installed: requirements-docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet -r requirements-docs.txt
	@touch $@

doctor: ## say whether this environment can run this package
	@if [ -x $(BIN)/python ]; then $(BIN)/python tools/doctor.py $(ARGS); \
	else $(PYTHON) tools/doctor.py $(ARGS); fi

clean: ## remove build outputs, caches and work_dirs
	rm -rf build dist work_dirs *.egg-info .ruff_cache .pytest_cache
	find . -name __pycache__ -not -path './.venv*/*' -prune -exec rm -rf {} +

distclean: clean ## clean, and remove the environments of the stack and of the site too
	rm -rf $(VENV) .venv-docs
