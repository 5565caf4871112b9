# `make demo` and `make test` do all set-up themselves; they need Python 3.11+ and make only.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
ifeq ($(strip $(PYTHON)),)
$(error Python 3.11 or newer is needed, and none was found)
endif
BIN := .venv/bin
# More than there are cores: many tests wait for a process, a browser or a disk.
JOBS ?= 3
# tests/conftest.py says which tests stay together, and orders them.
SHARED := -n $(JOBS) --dist loadgroup --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup tools demo test test-fast other-pythons checked app lint docs bench screenshots site-pictures locks clean

help: ## show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

setup: ## make .venv with cartcast in it, from the locks
	@$(PYTHON) scripts/bootstrap.py core

demo: setup ## a simulated shop, from raw log to report, in ./demo
	@rm -rf demo
	@$(BIN)/cartcast demo demo

tools:
	@$(PYTHON) scripts/bootstrap.py test

test: tools ## run the tests; one whose program is missing is skipped, with the reason
	@$(BIN)/python -m pytest $(SHARED) -rs

other-pythons: ## a part of the tests on Python 3.13, and on 3.11 with the lowest allowed versions
	@scripts/other-pythons

PROGRAMS ?= 10000
checked: tools ## the features' tests and random programs, every access to memory checked
	@CARTCAST_CHECKED=1 $(BIN)/python -m pytest $(SHARED) -rs -m "not spark" tests/features \
		--ignore tests/features/test_memory.py
	@CARTCAST_CHECKED=1 $(BIN)/python -W error tests/features/fuzz.py --programs $(PROGRAMS) --jobs $(JOBS)

test-fast: tools ## the quick tests, about 90 seconds; what they last took decides which
	@$(BIN)/python -m pytest $(SHARED) --budget 140 \
		-m "not (slow or chromium or redis or postgres or spark)"

app: ## open the web app on the demo project
	@$(PYTHON) scripts/bootstrap.py app
	@test -f demo/cartcast.yaml || $(BIN)/cartcast demo demo
	@$(BIN)/cartcast app --project demo

lint: tools ## format, lint, types, secrets, dependencies, generated pages
	@scripts/check

docs: tools ## build the documentation into ./site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: tools ## all benchmarks; takes long, wants a quiet machine
	@for b in features models live app; do $(BIN)/python benchmarks/$$b.py || exit 1; done

screenshots: tools ## pictures of every page of the app and of the report
	@$(BIN)/python scripts/screenshots.py

site-pictures: docs ## pictures of the documentation, and whether every page fits a phone
	@$(BIN)/python scripts/site_pictures.py

locks: ## resolve the requirements anew (needs uv)
	@scripts/lock

clean: ## remove what was made
	@rm -rf .venv demo site build dist .mypy_cache .ruff_cache .pytest_cache
