# Everything a developer types. `make` alone explains it.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROSTER ?=
TESTS ?= tests
# Where the browser's tests leave a picture of every page they look at.
SCREENSHOTS ?= $(CURDIR)/build/screenshots
JS := tests/acceptance/js
# What Python has compiled it keeps, whatever this shell says: the tests start our programs again and again.
export PYTHONDONTWRITEBYTECODE :=
WHEEL := $(VENV)/wheel
SOURCES := $(shell find src -name __pycache__ -prune -o -print)

.PHONY: help setup demo test nightly chaos pictures promises schema sdks fuzz lint format docs wheel bench lock clean

help: ## list these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "schoolsync needs Python 3.11 or newer; set PYTHON=python3.x"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# One stamp per lock: nothing is done again until a lock or pyproject.toml changes.
$(VENV)/runtime.stamp: requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "installing schoolsync (once, or when the lock changes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/runtime.txt -r requirements/build.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Not compiled beforehand: of the 30 000 modules of the Graph SDK the tests load a few hundred.
$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/runtime.stamp
	@echo "installing the test and check tools (once, or when the lock changes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile -r requirements/dev.txt
	@touch $@

# Newer ones of the pinned SDK's name cannot be installed beside it: they lie in folders of their own.
$(VENV)/sdks.stamp: requirements/sdks.txt requirements/unpack_sdks.py $(VENV)/dev.stamp
	@echo "unpacking the newest Graph SDKs for the tests (once, or when their lock changes) ..."
	@rm -rf $(VENV)/sdks
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: --dest $(VENV)/sdks -r requirements/sdks.txt
	@$(BIN)/python requirements/unpack_sdks.py $(VENV)/sdks
	@touch $@

$(JS)/node_modules/.stamp: $(JS)/package-lock.json
	@if command -v npm >/dev/null; then echo "installing the JavaScript Graph client for the tests ..."; cd $(JS) && npm ci --silent --no-audit --no-fund && touch node_modules/.stamp; else echo "npm is missing: the tests through the JavaScript Graph client will be skipped"; fi

# What is handed out, installed over the same dependencies: an environment whose schoolsync is the built wheel.
$(WHEEL)/built.stamp: $(SOURCES) README.md LICENSE $(VENV)/dev.stamp
	@rm -rf $(WHEEL)
	@$(BIN)/python -m venv --without-pip $(WHEEL)
	@$(BIN)/python -m hatchling build --target wheel --directory $(WHEEL)/dist 2>$(WHEEL)/build.log || { cat $(WHEEL)/build.log; exit 1; }
	@$(BIN)/python -m pip --python $(WHEEL)/bin/python install --quiet --disable-pip-version-check --no-index --no-deps --no-compile $(WHEEL)/dist/*.whl
	@for there in $(WHEEL)/lib/python3.*/site-packages; do echo "import site; site.addsitedir('$(CURDIR)/$(VENV)/$${there#$(WHEEL)/}')" > $$there/dependencies.pth; done
	@for tool in $(BIN)/*; do [ -e $(WHEEL)/bin/$$(basename $$tool) ] || ln -s ../../bin/$$(basename $$tool) $(WHEEL)/bin/; done
	@touch $@

setup: $(VENV)/dev.stamp ## create .venv from the locks; does nothing when it is up to date

demo: $(VENV)/runtime.stamp ## run the main job on the bundled roster, or on ROSTER=<folder or zip>
	@$(BIN)/python -m schoolsync.testing.demo $(if $(ROSTER),"$(ROSTER)")

test: $(WHEEL)/built.stamp $(JS)/node_modules/.stamp ## run all tests but the long ones on the built wheel (TESTS=path for some, DATABASE=postgresql or sqlite for one of the two)
	@SCREENSHOTS=$(SCREENSHOTS) $(WHEEL)/bin/python -m pytest -n $${PYTEST_WORKERS:-2} --dist loadgroup -q $(TESTS)

nightly: $(WHEEL)/built.stamp $(JS)/node_modules/.stamp ## run the long tests too, and the others with more examples (TESTS=path for some)
	@NIGHTLY=1 SCREENSHOTS=$(SCREENSHOTS) $(WHEEL)/bin/python -m pytest -n $${PYTEST_WORKERS:-2} --dist loadgroup -q --timeout 1800 $(TESTS)

chaos: $(VENV)/dev.stamp ## kill processes in the middle of runs (KILLS=1000), or have every n-th read and write of a run fail in turn (EVERY=n, STORAGE=s3); SEED=, DATABASE=sqlite or postgresql
	@$(BIN)/python -m tests.chaos --kills $${KILLS:-1000} --database $${DATABASE:-sqlite} $(if $(SEED),--seed $(SEED)) $(if $(EVERY),--every $(EVERY)) $(if $(STORAGE),--storage $(STORAGE))

pictures: $(VENV)/dev.stamp $(JS)/node_modules/.stamp ## take the pictures of the console in docs/pictures anew, and the outlines of its pages
	@TAKE_PICTURES=1 NIGHTLY=1 SCREENSHOTS=$(SCREENSHOTS) $(BIN)/python -m pytest -n 2 --dist loadgroup -q tests/acceptance/test_the_console.py

promises: $(VENV)/dev.stamp $(JS)/node_modules/.stamp ## run the tests that hold the promises of docs/promises.md, and write into the README how they ended (ONLY="3 4")
	@$(BIN)/python -m tests.promises $(ONLY)

schema: $(VENV)/dev.stamp ## ask every operation of both APIs with requests made from their descriptions (SCHEMA_EXAMPLES=n, SCHEMA_SEED=n)
	@SCHEMA_EXAMPLES=$${SCHEMA_EXAMPLES:-50} SCHEMA_VERSIONS=v1.0,beta $(BIN)/python -m pytest -q --timeout 7200 tests/acceptance/test_by_schema.py

sdks: $(VENV)/sdks.stamp ## run the tests of the directory through the newest Graph SDKs, v1.0 and beta
	@$(BIN)/python -m tests.acceptance.newest

fuzz: $(VENV)/dev.stamp ## read 20 000 damaged rosters, for the night (FUZZ_EXAMPLES=n for another number)
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-20000} $(BIN)/python -m pytest -n $${PYTEST_WORKERS:-2} -q tests/rosters/test_any_bytes.py

lint: $(VENV)/dev.stamp ## check layout, types and who imports whom
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/dev.stamp ## settle the layout of the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/dev.stamp ## build README and docs/ as a site that opens from disk, into build/docs
	@$(BIN)/python -m docs.site

wheel: $(VENV)/dev.stamp ## build wheel and sdist into dist/, the same bytes whoever builds a commit
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(BIN)/python -m hatchling build

bench: $(VENV)/dev.stamp ## measure against the floors; writes benchmarks/RESULTS.md, API.md, CHECKING.md, PLANS.md, MILLION.md, MANY.md, BESIDE.md, DISTRICTS.md, PEERS.md, EXPLAINING.md, PAGES.md
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.api
	@$(BIN)/python -m benchmarks.checking
	@$(BIN)/python -m benchmarks.plans
	@$(BIN)/python -m benchmarks.million
	@$(BIN)/python -m benchmarks.many
	@$(BIN)/python -m benchmarks.beside
	@$(BIN)/python -m benchmarks.districts
	@$(BIN)/python -m benchmarks.peers
	@$(BIN)/python -m benchmarks.start
	@$(BIN)/python -m benchmarks.explaining
	@$(BIN)/python -m benchmarks.pages

lock: $(VENV)/dev.stamp ## renew the locks in requirements/ from pyproject.toml
	@./requirements/lock $(BIN)/uv

clean: ## remove .venv and what the tools left
	rm -rf $(VENV) $(JS)/node_modules .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
