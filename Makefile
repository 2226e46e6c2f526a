# Everything runs in .venv, which `make env` makes from requirements.lock with every extra.
PYTHON ?= python3
BIN := .venv/bin
# quiet and private: nothing here talks to anyone but the package index
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help env demo shop sync config test lint docs pictures bench format lock clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

env: .venv/.ready  ## make .venv with every extra and the tools

.venv/.ready: requirements.lock pyproject.toml
	@echo "making .venv of what requirements.lock names (once; takes some minutes) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: env  ## migrate real data end to end: embedded PostgreSQL, or TARGET=duckdb; VERBOSE=1 shows all of it
	@$(BIN)/python -m examples.nycflights.demo

shop: env  ## migrate a legacy MariaDB to PostgreSQL from a drafted spec (wants mariadbd)
	@$(BIN)/python -m examples.legacyshop.demo

sync: env  ## keep two live databases in step that are edited on both sides: SQLite and PostgreSQL
	@$(BIN)/python -m examples.crm.demo

config: env  ## keep five components' configurations in step with a central one, edited on both sides
	@$(BIN)/python -m examples.config.demo

live: env  ## follow a shop that is in use, be killed five times, and end equal: PostgreSQL
	@$(BIN)/python -m examples.live.demo

# what one process compiled is there for the hundred others that tests start
test: export PYTHONDONTWRITEBYTECODE :=
test: env  ## run the whole suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: env  ## formatting, linting, types and the contracts of the three rooms
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: env  ## build docs/ as a site into site/
	$(BIN)/zensical build --strict

pictures: env  ## take the pictures of Prefect's UI in docs/ again (wants chromium; pngquant makes them small)
	@$(BIN)/python -m examples.prefect.pictures

bench: env  ## measure against the physical limits and print ratios
	$(BIN)/python -m benchmarks.run_all

format: env  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: env  ## resolve pyproject.toml again into requirements.lock (names, versions, hashes)
	$(BIN)/uv pip compile --quiet --upgrade --all-extras --group dev --generate-hashes --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml

clean:  ## remove what was made here
	rm -rf site .cache .venv .demo .shop .crm .live .bench .syncline dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
