# Strongroom: everything a person does here. `make` alone lists it.
#
# Paths stay relative, so that a checkout whose own path has spaces works.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python that fits. `make PYTHON=/path/to/python3.12 up` chooses another.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; \
	then echo $$python; break; fi; done)

# Size of the sample shop of `make up`.
CUSTOMERS ?= 20000

VENV := .venv/bin
INSTALL := include/strongroom/embedded/install.py
EMBEDDED := $(VENV)/python -m strongroom.embedded
PYTEST := $(VENV)/python -m pytest --durations=10

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' \
		| while IFS=$$'\t' read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

.PHONY: python
python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python from 3.11 to 3.13 was found (tried python3.13, python3.12, python3.11, python3)." >&2; \
		echo "Debian, Ubuntu: apt install python3 python3-venv. Elsewhere: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
		exit 1; fi

.PHONY: install
install: python ## Make the virtual environment .venv from requirements.lock
	@$(PYTHON) $(INSTALL) runtime

.PHONY: install-dev
install-dev: python ## The same with everything that tests and checks need
	@$(PYTHON) $(INSTALL) dev

.PHONY: up
up: install ## Start everything, back up the sample shop, restore and prove the backup (CUSTOMERS=20000)
	@$(EMBEDDED) up --customers $(CUSTOMERS)

.PHONY: down
down: ## Stop everything that `make up` started, and nothing else
	@if [ -x $(VENV)/python ]; then $(EMBEDDED) down; else echo "Nothing is installed, so nothing runs."; fi

.PHONY: status
status: install ## Show each part: running or not, process, ports, log
	@$(EMBEDDED) status

.PHONY: logs
logs: install ## Show where each log is and its last lines (PART=scheduler for one, followed)
	@$(EMBEDDED) logs $(PART)

.PHONY: clean
clean: down ## Stop everything and remove its data: the sample shop, the bucket, the keys
	@if [ -x $(VENV)/python ]; then $(EMBEDDED) clean; else echo "Nothing is installed, so there is nothing to remove."; fi

.PHONY: lint
lint: install-dev ## Check style, types and layers
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@PYTHONPATH=include:plugins $(VENV)/lint-imports

# Unit and integration tests share nothing but the machine and run three at a time, file by file, the long files first
# (tests/conftest.py); the end-to-end tests start the whole of `make up` and have it to themselves.
.PHONY: test
test: lint ## Run everything that CI runs
	@$(EMBEDDED) tools
	@$(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder -m "not e2e"
	@$(PYTEST) -m e2e

.PHONY: histories
histories: install-dev ## Let the retention planner live through 10,000 random histories (HISTORIES=10000)
	@PYTHONPATH=include:. $(VENV)/python -m tests.unit.retention.histories $(or $(HISTORIES),10000)

.PHONY: bench
bench: install-dev ## Measure speed and memory against the usual tools; prints a table and JSON
	@$(VENV)/python -m tests.benchmarks

.PHONY: lock
lock: python ## Write both lock files again from requirements.txt and requirements-dev.txt
	@$(PYTHON) $(INSTALL) lock
