# Two commands set everything up on a fresh machine: `make leaderboard` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RESULTS ?= results/quick

.PHONY: leaderboard test test-slow lint types bench clean

leaderboard: $(READY)  ## Train and rank three submissions on the quick suite, and show the table.
	$(BIN)/penumbra run random planner rec-hyst-iql --suite quick --out $(RESULTS)
	$(BIN)/penumbra table $(RESULTS) --suite quick --out $(RESULTS)/LEADERBOARD.md

test: $(READY)  ## Run the fast tests.
	$(BIN)/pytest -n 2 -m "not slow and not gpu"

test-slow: $(READY)  ## Run the tests that learn.
	$(BIN)/pytest -m slow

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/pyright

bench: $(READY)  ## Measure speed on a machine that is otherwise idle, and write docs/performance.md.
	$(BIN)/python benchmarks/measure.py

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]" --constraint constraints.txt
	touch $(READY)

clean:
	rm -rf $(VENV) results build *.egg-info
