# Each target works in a fresh clone: uv makes the environment it needs.
UV ?= $(shell command -v uv || echo .venv/bin/uv)
RUN = $(UV) run --group dev

.PHONY: install format check test bench bench-memory bench-extraction bench-faults

install:
	$(UV) sync --group dev

format:
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

check:
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) lint-imports

test:
	$(RUN) pytest

bench:
	$(RUN) python -m benchmarks.rows

bench-memory:
	$(RUN) python -m benchmarks.memory

bench-extraction:
	$(RUN) python -m benchmarks.extraction

bench-faults:
	$(RUN) python -m benchmarks.faults
