# Every target sets up what it needs: python3 (3.11 or newer), make and a package index are enough.

PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 3
STACK ?= local

MINUTES ?= 10

.PHONY: help install demo test bench chaos check format contract clean

help: ## what there is
	@$(PYTHON) -c 'import re; [print(f"make {t:10}{d}") for t, d in re.findall(r"^(\w+):.*?## (.*)$$", open("Makefile").read(), re.M)]'

install: ## .venv with everything; the other targets call it
	@$(PYTHON) operations/install.py

demo: install ## the main job: a local stack, requests watched live, one service killed, stack down
	@$(BIN)/habeas demo

test: install ## every test, against a local stack of its own (or the one that HABEAS_STACK names; STACK=testcontainers: Docker's)
	@HABEAS_TEST_STACK=$(STACK) $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(TESTS)

bench: install ## throughput beside a bare pipe, latency, growth, replicas, memory; over an hour (BENCH=--help, BENCH=--quick)
	@$(BIN)/python -m bench $(BENCH)

chaos: install ## everything broken at random under load for MINUTES, then every request reconciled (SEED=, CHAOS=--help)
	@$(BIN)/python tests/chaos/run.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(CHAOS)

check: install ## format, lint, types, import directions, drift of what is generated
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/habeas contract check
	@$(BIN)/habeas docs check

format: install ## bring the code into shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

contract: install ## generate docs/contract and the tables of docs/operating.md anew from the code
	@$(BIN)/habeas contract generate
	@$(BIN)/habeas docs generate

clean: ## remove what set-up and the local stack have made
	@$(PYTHON) -c 'import shutil; [shutil.rmtree(place, ignore_errors=True) for place in (".venv", ".habeas", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")]'
