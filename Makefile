# credit-risk: `make run` serves, `make test` checks everything that the project promises.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
DOCS ?= _docs
PROC ?= _proc
SOURCES := $(wildcard nbs/*.ipynb nbs/runs/*.ipynb credit_risk/*.py)
COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.DEFAULT_GOAL := help
.PHONY: help run test retrain bench soak report notebooks readme docs lint lint-workflows lock lab system openmp secrets image clean retrain-simulated
.DELETE_ON_ERROR:

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.tools: requirements/tools.lock
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed; on Debian or Ubuntu: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed; name one with make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: Python's venv module is missing; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/tools.lock
	@touch $@

# the environments: $(VENV)/.run to train and serve, $(VENV)/.docs to build the book, $(VENV)/.dev to test and develop (and to do all that)
$(VENV)/.run $(VENV)/.docs $(VENV)/.dev: $(VENV)/.%: $(VENV)/.tools requirements/%.lock setup.py settings.ini
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/$*.lock
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

run: $(VENV)/.run openmp ## create what is missing, then serve on 127.0.0.1:8000 (PORT changes it)
	@$(BIN)/credit-risk init-db --simulate 20000
	@test -e $${CREDIT_RISK_ARTIFACTS:-artifacts}/current || $(BIN)/credit-risk retrain
	@echo "Open this address:"
	@exec $(BIN)/python -m api --port $(PORT) --print-key

retrain: $(VENV)/.run openmp ## run the training notebooks on the bank and promote the models
	$(BIN)/credit-risk retrain

retrain-simulated: $(VENV)/.run openmp ## the same on a simulated bank in var, made where there is none
	$(BIN)/credit-risk init-db --simulate 20000
	$(BIN)/credit-risk retrain

test: $(VENV)/.dev system openmp ## every promise: the notebooks, then HTTP, SQL, papermill and browser tests
	$(BIN)/nbdev_test --n_workers 2
	$(BIN)/python -m pytest -q

# $(call install,packages): as root or by sudo without a password; else say what an administrator must do
define install
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then as=""; \
	elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then as="sudo"; \
	else echo "make: these packages are needed, and only an administrator can install them:$(1)" >&2; \
	     echo "      on Debian or Ubuntu: sudo apt-get install$(1)" >&2; exit 1; fi; \
	$$as apt-get -qq update && DEBIAN_FRONTEND=noninteractive $$as apt-get -qq install -y --no-install-recommends $(1) >/dev/null
endef

system: ## MariaDB, nginx and Chromium, which the tests start themselves
	@missing=""; \
	command -v mariadbd >/dev/null || test -x /usr/sbin/mariadbd || missing="$$missing mariadb-server"; \
	command -v nginx >/dev/null || test -x /usr/sbin/nginx || missing="$$missing nginx-light"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing="$$missing chromium"; \
	test -z "$$missing" && exit 0; \
	$(call install,$$missing)

openmp: $(VENV)/.tools ## the system library that LightGBM runs on, to train
	@$(BIN)/python -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null && exit 0; \
	$(call install, libgomp1)

bench: $(VENV)/.dev system openmp ## run the benchmarks and the capacity plan; executed copies in var/bench
	@mkdir -p var/bench
	@command -v wrk >/dev/null && exit 0; $(call install, wrk)
	@for notebook in nbs/runs/bench_*.ipynb nbs/runs/capacity.ipynb; do $(BIN)/papermill $$notebook var/bench/$$(basename $$notebook) || exit 1; done

soak: $(VENV)/.dev system ## the tests of faults at length: twenty kills of each, thousands of requests from the OpenAPI document
	FAULT_CYCLES=20 FAULT_EXAMPLES=250 $(BIN)/python -m pytest -q tests/test_faults.py

report: $(VENV)/.dev system openmp ## run the report on the limits of the model; page and printable PDF in var/report
	@mkdir -p var/report
	$(BIN)/papermill nbs/runs/macro_report.ipynb var/report/macro_report.ipynb
	$(BIN)/jupyter nbconvert --log-level WARN --to html --no-input var/report/macro_report.ipynb
	@chromium=$$(command -v chromium || command -v chromium-browser || command -v google-chrome); \
	$$chromium --headless --no-sandbox --disable-gpu --no-pdf-header-footer --virtual-time-budget=20000 --print-to-pdf=var/report/macro_report.pdf "file://$$PWD/var/report/macro_report.html" 2>/dev/null
	@echo "Read var/report/macro_report.html or var/report/macro_report.pdf"

notebooks: $(VENV)/.dev system ## execute the library notebooks in place, clean them, export them
	$(BIN)/nbdev_export
	$(BIN)/jupyter nbconvert --log-level WARN --to notebook --execute --inplace nbs/[0-9]*.ipynb
	$(BIN)/jupyter nbconvert --log-level WARN --to notebook --coalesce-streams --inplace nbs/[0-9]*.ipynb
	$(BIN)/nbdev_clean
	$(BIN)/nbdev_export

readme: $(VENV)/.dev ## execute nbs/index.ipynb on the promoted models and write README.md from it
	$(BIN)/jupyter nbconvert --log-level WARN --to notebook --execute --inplace nbs/index.ipynb
	$(BIN)/jupyter nbconvert --log-level WARN --to notebook --coalesce-streams --inplace nbs/index.ipynb
	$(BIN)/nbdev_clean
	$(MAKE) README.md

README.md: nbs/index.ipynb $(VENV)/.dev
	$(BIN)/jupyter nbconvert --log-level WARN --to markdown --stdout --TagRemovePreprocessor.enabled=True \
	  --TagRemovePreprocessor.remove_input_tags='["remove-input"]' $< | sed -e '/^#| /d' -e 's#](images/#](nbs/images/#g' > $@

docs: $(or $(wildcard $(VENV)/.dev),$(VENV)/.docs) openmp ## the notebooks as a book in _docs, which the service shows at /docs/
	@rm -rf $(PROC)
	$(BIN)/python nbs/pages/book.py $(PROC)/pages
	$(BIN)/sphinx-build -q -W --keep-going -j auto -c nbs/pages -d $(PROC)/doctrees $(PROC)/pages $(PROC)/site
	@rm -rf $(DOCS) && mv $(PROC)/site $(DOCS)

# everything that a machine can say of the text: style, types, links, and notebooks that are clean and exported
lint: $(VENV)/.dev lint-workflows ## style, types, links, clean and exported notebooks
	$(BIN)/ruff format --check -q
	$(BIN)/ruff check
	$(BIN)/mypy
	@$(BIN)/python tests/measure_code.py
	$(BIN)/python nbs/pages/links.py
	@before=$$(cat $(SOURCES) | sha256sum); $(BIN)/nbdev_export && $(BIN)/nbdev_clean && test "$$before" = "$$(cat $(SOURCES) | sha256sum)" \
	  || { echo "make: the notebooks were not clean, or not exported. They are now: see git diff, and commit" >&2; exit 1; }

secrets: ## a password, a database address and an API key for compose.yaml, made once, in var/secrets
	@mkdir -p -m 700 var/secrets
	@cd var/secrets && for name in db_password api_key; do test -e $$name || $(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(32), end="")' > $$name; done
	@cd var/secrets && printf 'mariadb://credit_risk:%s@db/bank' "$$(cat db_password)" > database_url && chmod 444 db_password database_url api_key

image: secrets ## build the images, start the service on MariaDB, wait until it is ready and score the example
	docker compose --profile tools build
	docker compose run --rm retrain init-db --simulate 3000
	docker compose run --rm retrain
	docker compose up --detach --wait
	@set -e; at=http://127.0.0.1:$(PORT); curl -fsS $$at/readyz; \
	curl -fsS $$at/openapi.json | $(PYTHON) -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]["example"]))' \
	| curl -fsS $$at/score -H "Authorization: Bearer $$(cat var/secrets/api_key)" -H 'Content-Type: application/json' -d @-
	@size=$$(docker image inspect -f '{{.Size}}' credit-risk); echo; echo "the service image has $$((size/1000000)) MB"; test $$size -lt 250000000

lint-workflows: $(VENV)/.dev ## the Dockerfile, compose.yaml and the workflows of .github
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --persona pedantic --quiet .github/workflows

lock: $(VENV)/.tools ## resolve the requirements anew, with hashes
	$(COMPILE) requirements/tools.in -o requirements/tools.lock
	$(COMPILE) setup.py --extra serve -o requirements/serve.lock
	$(COMPILE) setup.py --extra serve --extra train --extra cluster -o requirements/run.lock
	$(COMPILE) setup.py --extra serve --extra train --extra cluster --extra docs -o requirements/docs.lock
	$(COMPILE) setup.py --extra dev -o requirements/dev.lock

lab: $(VENV)/.dev ## JupyterLab on the notebooks, in the environment of the project
	$(BIN)/jupyter lab nbs

clean: ## remove the environment, the book, the embedded bank and the models
	rm -rf $(VENV) $(DOCS) $(PROC) var artifacts
