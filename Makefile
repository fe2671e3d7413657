# Needs Python 3.11 or newer, make and git. `make test` also needs servers: it installs them with apt when it may,
# and says what to install when it may not (APT=no: never install).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python scripts/production_env.py
TYPED := vcp membroker live people metering dispatch schedules link watch console voke_sim
SERVERS := rabbitmq-server postgresql redis-server chromium gettext
UV_VERSION := 0.13.8
LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

.PHONY: help demo day test soak check bench up lock assets screenshots openapi messages venv servers
.DELETE_ON_ERROR:

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: $(VENV)/.runtime ## the whole loop on this machine, no service needed (ONCE=1: until each step happened once)
	$(BIN)/python manage.py demo $(if $(filter-out 0 no,$(ONCE)),--once)

day: $(VENV)/.runtime ## a whole day with its plans on a virtual clock: DAY=2026-10-25 SEED=7 PLAN=file.csv
	$(BIN)/python manage.py virtual_day --day $(or $(DAY),2026-10-25) --seed $(or $(SEED),7) $(if $(PLAN),--plan $(PLAN))

test: $(VENV)/.dev servers ## all tests on PostgreSQL, Redis and RabbitMQ of their own, then the portable ones on SQLite
	$(BIN)/python scripts/test_lanes.py

soak: $(VENV)/.dev servers ## real processes under load, hit by FAULTS=200 faults in the order of SEED; ends with lost, doubled, late
	$(BIN)/python -m tests.faults --faults $(or $(FAULTS),200) $(if $(SEED),--seed $(SEED))

check: $(VENV)/.dev ## linters, types, import rules, migrations, deployment checks, known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(RUN) $(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports
	DATABASE_URL=sqlite:// $(RUN) $(BIN)/python manage.py makemigrations --check --dry-run
	$(RUN) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python scripts/lock_check.py
	$(BIN)/python scripts/audit.py

bench: $(VENV)/.dev servers ## measure on private servers, beside the naive way and the raw parts (QUICK=1: 3 minutes, ONLY=rows)
	$(BIN)/python -m bench $(if $(filter-out 0 no,$(QUICK)),--quick) $(if $(ONLY),--only $(ONLY))

up: ## the full installation in containers (see .env.example; PROFILE=sim adds a broker and the stand-in for Voke)
	$(if $(filter sim,$(PROFILE)),AMQP_CA_FILE=/srv/sim/tls/ca.pem CONNECT_ALLOW_PRIVATE=true )docker compose $(if $(PROFILE),--profile $(PROFILE)) up --build --detach --wait

lock: $(BIN)/pip ## pin requirements*.in with hashes (UPGRADE=1: to the newest versions)
	command -v uv >/dev/null || $(BIN)/pip install --quiet uv==$(UV_VERSION)
	PATH="$$PATH:$(BIN)" $(LOCK) $(if $(UPGRADE),--upgrade) requirements.in --output-file requirements.txt
	PATH="$$PATH:$(BIN)" $(LOCK) $(if $(UPGRADE),--upgrade) requirements-dev.in --output-file requirements-dev.txt

assets: $(VENV)/.dev ## copy the locked npm packages' built files to static/vendor (needs Node; nobody else does)
	cd console/assets && npm ci --ignore-scripts --no-audit --no-fund
	$(BIN)/python scripts/assets.py

screenshots: $(VENV)/.dev servers ## render the README's pictures into docs/pictures
	$(BIN)/python -m pytest -q tests/browser/console/pictures.py

messages: $(VENV)/.dev ## collect the pages' texts into locale/LOCALE (LOCALE=cs) and compile what is translated
	@test -n "$(LOCALE)" || { echo 'name the language: make messages LOCALE=cs' >&2; exit 1; }
	@missing=$$($(PYTHON) tests/services/missing.py gettext) || scripts/apt_install $$missing
	mkdir -p locale/$(LOCALE)
	DATABASE_URL=sqlite:// $(RUN) $(BIN)/python manage.py makemessages --locale $(LOCALE)
	DATABASE_URL=sqlite:// $(RUN) $(BIN)/python manage.py compilemessages --locale $(LOCALE) --ignore .venv

openapi: $(VENV)/.dev ## pin the OpenAPI document of the reverse channel in docs/openapi.json
	$(RUN) $(BIN)/python manage.py openapi > docs/openapi.json

venv: $(VENV)/.dev ## the virtual environment alone

servers: | $(BIN)/pip
	@missing=$$($(PYTHON) tests/services/missing.py $(SERVERS)) || scripts/apt_install $$missing

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'needs Python 3.11 or newer as $(PYTHON) (PYTHON=... names another)' >&2; exit 1; }
	@missing=$$($(PYTHON) tests/services/missing.py python3-venv) || scripts/apt_install $$missing
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
