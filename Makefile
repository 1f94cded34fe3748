# The kit's commands: `make` lists them. They need python3 (3.11 to 3.13) and make;
# the tests also git and Node.js. Plain make: it runs on GNU make 3.81, which macOS has.

PYTHON ?= python3
WORKERS ?= 2

BIN := .venv/bin
LEARNER := .venv/.learner
TESTS := .venv/.tests
WHEELS := .cache/wheelhouse/.complete
CLIENTS := tests/js/node_modules/.installed

# A stamp holds the path it was made for: a clone that was moved gets a new environment.
ifneq ($(wildcard $(LEARNER)),)
ifneq ($(shell cat $(LEARNER)),$(shell pwd))
$(shell rm -rf .venv)
endif
endif

.DEFAULT_GOAL := help
.PHONY: help start setup test test-setup check build solutions replay bench soak lock clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile

start: $(LEARNER) $(WHEELS) ## set up what is missing, then open JupyterLab at week 1
	@$(BIN)/chainlab start

setup: $(LEARNER) $(WHEELS) ## make .venv from requirements.lock, then the package
	@echo "set up; 'make start' opens the course, '$(BIN)/chainlab doctor' looks for trouble"

# uv comes first, by pip and by hash; it installs the rest in seconds. Wheels only.
$(LEARNER): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) \
	  else "chainlab needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d.\n" % v + \
	  "  To mend it: name another one, as in: make $(MAKECMDGOALS) PYTHON=python3.12")'
	@mkdir -p .cache
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	@sed -n '/^uv==/,/^    # via/p' requirements.lock > .cache/uv.lock
	@echo "setting up .venv from requirements.lock"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	  --only-binary :all: -r .cache/uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --no-build requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@pwd > $(LEARNER)

# What the course's own projects are built from, kept so that week 2 needs no network either.
$(WHEELS): wheelhouse.lock $(LEARNER)
	@echo "keeping the projects' wheels in .cache/wheelhouse"
	@rm -rf .cache/wheelhouse
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --only-binary :all: -d .cache/wheelhouse -r wheelhouse.lock
	@touch $(WHEELS)

$(TESTS): requirements-test.lock $(LEARNER)
	@echo "adding what the tests need from requirements-test.lock"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --no-build \
	  requirements-test.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $(TESTS)

# sigstore-js, unmodified: as Node.js 20 runs it, and its newer releases with Node.js 22
$(CLIENTS): tests/js/package-lock.json tests/js/node22/package-lock.json
	@echo "installing the JavaScript clients"
	@npm ci --prefix tests/js --ignore-scripts --no-audit --no-fund --loglevel error > /dev/null
	@npm ci --prefix tests/js/node22 --ignore-scripts --no-audit --no-fund --loglevel error > /dev/null
	@touch $(CLIENTS)

test-setup: $(TESTS) $(CLIENTS) $(WHEELS)
	@$(BIN)/python tests/setup/browser.py
	@$(BIN)/python tests/setup/environments.py
	@$(BIN)/python tests/setup/devpi.py
	@$(BIN)/python tests/setup/registry.py
	@$(BIN)/python tests/setup/opa.py

test: test-setup ## set up what the tests need (network), then run them with the network cut
	@$(BIN)/python tests/setup/offline.py -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 30

check: test-setup ## lint, types, derived files, then the tests: what CI runs
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(BIN)/mypy tests/setup/browser.py tests/setup/environments.py tests/setup/offline.py \
	  tests/setup/devpi.py tests/setup/opa.py tests/setup/registry.py
	$(BIN)/chainlab build --check
	@$(BIN)/python tests/setup/offline.py -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 30

build: $(LEARNER) ## make notebooks, labs and solutions from lessons/
	@$(BIN)/chainlab build

solutions: $(LEARNER) ## run every solution from top to bottom
	@$(BIN)/chainlab solutions

replay: ## replay the drill (it comes with week 6)
	@echo "the drill arrives with week 6; there is nothing to replay yet" >&2; exit 2

bench: $(TESTS) $(WHEELS) ## measure the Sigstore instance, releases, SBOMs, advisories, the archive and the gate
	@$(BIN)/python benchmarks/trust.py
	@$(BIN)/python benchmarks/pipeline.py
	@$(BIN)/python benchmarks/sbom.py
	@$(BIN)/python benchmarks/advisories.py
	@$(BIN)/python benchmarks/archive.py
	@$(BIN)/python benchmarks/gate.py

soak: $(TESTS) ## by hand, bounded: random tests at length, then every notebook five times
	@$(BIN)/python tests/setup/offline.py -m pytest -n $(WORKERS) --dist loadfile \
	  --hypothesis-profile=soak
	@for round in 1 2 3 4 5; do \
	  $(BIN)/python tests/setup/offline.py -m pytest -c /dev/null --rootdir . -p no:cacheprovider \
	    -n $(WORKERS) --dist loadfile --nbval --nbval-sanitize-with lessons/sanitise.cfg \
	    --nbval-kernel-name python3 notebooks solutions || exit 1; \
	done

lock: $(TESTS) ## resolve pyproject.toml again (UPGRADE=--upgrade takes newer releases)
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --python-version 3.11 --no-build --custom-compile-command "make lock" \
	  $(UPGRADE) pyproject.toml --extra setup -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --python-version 3.11 --no-build --custom-compile-command "make lock" \
	  $(UPGRADE) pyproject.toml --extra setup --extra test -c requirements.lock \
	  -o requirements-test.lock
	@(ls data/packages/wheels/*.whl; printf "flit-core\nbuild\npip\n") | $(BIN)/uv pip compile --quiet --universal --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --python-version 3.11 --no-build \
	  --custom-compile-command "make lock" -c requirements-test.lock \
	  --no-emit-package acme-cells --no-emit-package acme-quantise \
	  data/projects/triage-model/requirements.txt - -o wheelhouse.lock
	@printf "devpi-server>=6.20\n" | $(BIN)/uv pip compile --quiet --universal --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --python-version 3.11 --no-build \
	  --custom-compile-command "make lock" - -o tests/setup/devpi.lock
	@printf "opa-golib-python-bindings==0.4.4\n" | $(BIN)/uv pip compile --quiet --universal --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --python-version 3.14 --no-build \
	  --custom-compile-command "make lock" - -o tests/setup/opa.lock
	@$(BIN)/python data/packages/lock.py
	@$(BIN)/python data/upstream.py

clean: ## remove environments and caches; keeps .chainlab, which holds a learner's work
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	@rm -rf tests/js/node_modules tests/js/node22/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
