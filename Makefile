# Each target works in a fresh clone: the environment is made first, of what the locks pin.
BIN = .venv/bin
UV = $(BIN)/uv
RUN = $(BIN)/python -m
LOCKS = requirements-uv.lock requirements.lock requirements-remote.lock requirements-dev.lock
UPGRADE = --upgrade
EXPORT = $(UV) export -q --locked --no-emit-project --no-header
EXCEPT = $$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' $(1))

.PHONY: install lock sbom format check test bench bench-memory bench-extraction bench-faults

install: .venv/installed

.venv/installed: pyproject.toml $(LOCKS)
	test -x $(BIN)/python || python3 -m venv .venv
	$(BIN)/pip install -q -r requirements-uv.lock
	$(UV) pip install -q -p .venv --no-deps -r requirements.lock -r requirements-remote.lock -r requirements-dev.lock -b requirements.lock -e .
	touch $@

# Renews all pins. uv.lock isn't committed: it names a package index.
lock:
	$(UV) lock -q $(UPGRADE)
	$(EXPORT) --only-group uv -o requirements-uv.lock
	$(EXPORT) --extra evaluate --extra local --group build -o requirements.lock
	$(EXPORT) --extra remote --extra entra $(call EXCEPT,requirements.lock) -o requirements-remote.lock
	$(EXPORT) --group dev $(call EXCEPT,requirements.lock requirements-remote.lock) -o requirements-dev.lock

# What the locks hold and its licences: docs/sbom.json, and a table in docs/security.md.
sbom: install
	$(RUN) tools.sbom

format: install
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

check: install
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(BIN)/lint-imports

test: install
	$(RUN) pytest -n logical --dist worksteal

bench: install
	$(RUN) benchmarks.rows

bench-memory: install
	$(RUN) benchmarks.memory

bench-extraction: install
	$(RUN) benchmarks.extraction

bench-faults: install
	$(RUN) benchmarks.faults
