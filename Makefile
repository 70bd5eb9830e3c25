# All commands start from a bare clone: they make .venv and install what they need into it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs clean

demo: $(VENV)/all
	$(BIN)/fastmlp train digits

# FASTMLP_TILE=sse make test: all tests with the register tile of another CPU (sse, avx2, avx512 or neon).
test: $(VENV)/dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The pages, docs/_build/html/index.html, without the network. Warnings are errors.
docs: $(VENV)/docs
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html

# One stamp for each set of extras, renewed when the dependencies change.
$(VENV)/%: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@

clean:
	rm -rf $(VENV) dist docs/_build docs/gallery .coverage .pytest_cache .ruff_cache
