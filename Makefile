# Each environment lives under .venv/ and is installed again only when pyproject.toml changes.
PYTHON ?= python3
DEMO := .venv/demo/bin
TEST := .venv/test/bin

.PHONY: help demo test lint bench clean
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST)

demo: .venv/demo/.installed ## See an agent remember across sessions: no key, no server
	@$(DEMO)/mem0-integrations demo

test: lint ## Check style and types, then run every test and notebook
	@$(TEST)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: .venv/test/.installed ## Check style and types only
	@$(TEST)/ruff check --quiet .
	@$(TEST)/ruff format --quiet --check .
	@$(TEST)/mypy

bench: .venv/test/.installed ## Print the benchmark tables
	@$(TEST)/python -m benchmarks

clean: ## Remove the environments, caches and build results
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/demo/.installed: EXTRAS := cli,embedded,langgraph
.venv/test/.installed: EXTRAS := all,dev

# Editable, so that a source change needs no new install.
.venv/%/.installed: pyproject.toml
	@echo "Preparing .venv/$* (only needed once) ..."
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit( \
		"Python 3.11 to 3.13 is needed: make $* PYTHON=/path/to/python3.12")'
	@$(PYTHON) -m venv --clear .venv/$*
	@.venv/$*/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[$(EXTRAS)]'
	@touch $@
