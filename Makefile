# The verbs that everybody types. Each makes .venv first if it is not there or not up to date.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: run test soak lint clean

run: .venv/installed
	$(BIN)/python run_all.py --tasks all --seeds 3

test: .venv/installed
	$(BIN)/python -m pytest -n auto --dist loadfile

# the long trials: kills, damage, mutated files, two runs, shards and a Dask cluster on real cells (a quarter of an hour)
soak: .venv/installed
	$(BIN)/python -m pytest -m soak

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# torch first and pinned: left to the other packages' ranges, pip may pull gigabytes of another build
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf .venv
