PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_VENV := .venv-docs
DOCS_STAMP := $(DOCS_VENV)/.installed

.PHONY: setup demo demo-sr demo-inpaint demo-short test doctest lint attacks check-install \
	check-mim check-doctor release clean

setup: $(STAMP)

# Installs again only when what is to be installed has changed. In the mode compat, by a
# .pth file: otherwise a script beside this folder finds the folder, which has the name
# of the package and is none.
$(STAMP): setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]' \
		--config-settings editable_mode=compat
	touch $@
	@echo 'next: . $(BIN)/activate'

demo: $(STAMP)
	$(BIN)/python tools/demo.py

demo-sr: $(STAMP)
	$(BIN)/python tools/demo.py --task sr

demo-inpaint: $(STAMP)
	$(BIN)/python tools/demo.py --task inpaint

demo-short: $(STAMP)
	$(BIN)/python tools/demo.py --short

# Two processes. A file's tests stay in one, which makes its fixtures once. Measuring the
# coverage slows Python itself down; `make test COVERAGE=` goes without.
COVERAGE = --cov=mmagic_mr --cov-report=term:skip-covered
test: $(STAMP)
	$(BIN)/python -m pytest tests -q -n 2 --dist loadfile --no-loadscope-reorder \
		$(COVERAGE)

doctest: $(STAMP)
	$(BIN)/python -m pytest --doctest-modules mmagic_mr -q

# Kills, full disks, a storm on the study: ten minutes, and a table of what held.
attacks: $(STAMP)
	$(BIN)/python -W ignore tools/attacks.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in site/; no page, link or anchor may be missing. The sources are read and
# not imported, so that this needs the extra `docs` of setup.py and no torch.
.PHONY: docs
docs: $(DOCS_STAMP)
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet

$(DOCS_STAMP): setup.py constraints.txt
	test -x $(DOCS_VENV)/bin/python || $(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install -q -c constraints.txt \
		mkdocs mkdocs-material 'mkdocstrings[python]'
	touch $@

# Both build fresh environments (torch included), so they take their time.
check-install:
	bash tools/check_install.sh $(PYTHON)

check-mim:
	bash tools/check_mim.sh $(PYTHON)

# Five broken copies of .venv, each mended by the line that the doctor prints. CASES names
# some of them: the one of mmcv compiles for long.
check-doctor: $(STAMP)
	bash tools/check_doctor.sh $(CASES)

# Archive, wheel and the list of what the tested set consists of, in dist/
release:
	bash tools/build_release.sh $(PYTHON)

clean:
	rm -rf build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .coverage
