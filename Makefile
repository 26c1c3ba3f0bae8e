# labkit: every target does its own set-up; a second call skips what is done.
# Needs make and Python 3.11 or newer. uv is used where it is there, because it is faster; nothing else differs.

VENV := .venv
BIN  := $(VENV)/bin
UV   := $(shell command -v uv 2>/dev/null)
# The first Python that starts and is new enough; `make PYTHON=/path/to/python3.12 lab` chooses another.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11 python,\
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
INSTALL = $(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install -qq --disable-pip-version-check)
GUESTS := linux linux-net memtest86+

.DEFAULT_GOAL := help
.PHONY: help lab test lint types guests pytest lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: $(VENV)/lab.stamp ## open the lab in JupyterLab
	@$(BIN)/labkit lab

test: lint types guests pytest ## everything that is checked: style, types, and all tests on the guests that can be had

lint: $(VENV)/dev.stamp
	@$(BIN)/ruff check .

types: $(VENV)/dev.stamp
	@$(BIN)/mypy

# In CI a guest that cannot be had is a failure; elsewhere one line says what is left out.
guests: $(VENV)/dev.stamp
	@left=; for guest in $(GUESTS); do $(BIN)/labkit fetch "$$guest" || left="$$left $$guest"; done; \
	if [ -n "$$left" ]; then echo "left out, because it could not be fetched:$$left"; [ "$$CI" != true ]; fi

pytest: $(VENV)/dev.stamp
	@$(BIN)/python -m pytest --durations=10 --durations-min=2
	@$(BIN)/python -m pytest -q --nbval-lax --nbval-current-env --nbval-cell-timeout=120 \
	  --nbval-sanitize-with=tests/nbval_sanitize.cfg notebooks

# --- set-up -----------------------------------------------------------------------------------------------------
$(VENV)/python.stamp:
	@if [ -z "$(PYTHON)" ]; then echo "labkit needs Python 3.11 or newer: none was found on PATH" >&2; exit 1; fi
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@[ -x $(BIN)/python ] || $(if $(UV),$(UV) venv --quiet --python "$(PYTHON)" $(VENV),"$(PYTHON)" -m venv $(VENV)) || \
	{ rm -rf $(VENV); echo "no virtual environment could be made; on Debian: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/lab.stamp: $(VENV)/python.stamp requirements.lock pyproject.toml
	@echo "installing what labkit needs (about a minute the first time)"
	@$(INSTALL) -r requirements.lock
	@$(INSTALL) --no-deps --editable .
	@$(BIN)/labkit doctor > /dev/null || $(BIN)/labkit doctor
	@touch $@

$(VENV)/dev.stamp: $(VENV)/lab.stamp requirements-dev.lock
	@echo "installing what the tests need (about a minute the first time)"
	@$(INSTALL) -r requirements-dev.lock
	@touch $@

# --- for developers -----------------------------------------------------------------------------------------------
# Two views of one resolution, for every Python and platform, with hashes and without addresses: uv's own lock names
# the index it was made from, so it is not kept.
lock: $(VENV)/python.stamp ## resolve pyproject.toml anew into requirements*.lock
	@uv=$(UV); [ -n "$$uv" ] || { $(INSTALL) uv; uv=$(BIN)/uv; }; \
	rm -f uv.lock && $$uv lock --quiet && \
	for part in "requirements.lock" "requirements-dev.lock --all-extras"; do set -- $$part; \
	  { echo "# Made by 'make lock' from pyproject.toml: do not edit."; \
	    $$uv export --quiet --format requirements-txt --no-emit-project --no-header --no-annotate $$2; } > $$1; \
	done; rm -f uv.lock
	@if grep -nE '://|^ *--[a-z-]*(index|find)' requirements*.lock; then echo "a lock names an address" >&2; exit 1; fi
	@wc -l requirements*.lock

clean: ## remove everything that make made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
