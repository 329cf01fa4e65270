# Each environment lies under .venv/ and is installed again only when what it is made of changes.
PYTHON ?= python3
ENVIRONMENT := test
BIN := .venv/$(ENVIRONMENT)/bin
ROUNDS ?= 200

.PHONY: help demo test test-latest campaign lint coverage bench constraints clean
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: .venv/demo/.installed ## See an agent remember across sessions: no key, no server
	@.venv/demo/bin/mem0-integrations demo

test: lint ## Check style and types, then run every test and notebook
	@$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-latest: ## The same with the newest versions that pyproject.toml allows
	@rm -f .venv/latest/.installed
	@$(MAKE) --no-print-directory test ENVIRONMENT=latest

campaign: .venv/$(ENVIRONMENT)/.installed ## Kill, stumble and fill disks for a quarter of an hour (ROUNDS=200)
	@$(BIN)/python -m tests.campaign --rounds $(ROUNDS)

lint: .venv/$(ENVIRONMENT)/.installed ## Check style and types only
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy

coverage: lint ## The tests, measured: at least 95 % of the package's lines and branches
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

bench: .venv/$(ENVIRONMENT)/.installed ## Print the benchmark tables
	@$(BIN)/python -m benchmarks

constraints: test-latest ## Pin what test-latest passed with, for every other target
	@.venv/latest/bin/python -m pip freeze --exclude-editable > constraints.txt

clean: ## Remove the environments, caches and build results
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/demo/.installed: EXTRAS := cli,embedded,langgraph
.venv/demo/.installed .venv/test/.installed: CONSTRAINTS := --constraint constraints.txt
.venv/demo/.installed .venv/test/.installed: constraints.txt
.venv/test/.installed .venv/latest/.installed: EXTRAS := all,dev

# Editable, so that a source change needs no new install.
.venv/%/.installed: pyproject.toml
	@echo "Preparing .venv/$* (only needed once) ..."
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 14) or sys.exit( \
		"Python 3.11 to 3.14 is needed: make $* PYTHON=/path/to/python3.12")'
	@$(PYTHON) -m venv --clear .venv/$*
	@.venv/$*/bin/python -m pip --disable-pip-version-check install --quiet $(CONSTRAINTS) \
		--editable '.[$(EXTRAS)]'
	@touch $@
