# Two commands do everything from a bare clone, in any folder: `make run` serves, `make test` runs the tests.
# Settings of the server are variables:  LIKENESS_PORT=9000 LIKENESS_QUOTA_LITE=100 make run
# Outside a machine with its own wheel index, plain `torch` is a CUDA build of several gigabytes; TORCH_INDEX names where to
# get the CPU build:  make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
HERE := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
VENV := $(HERE).venv
PY := $(VENV)/bin/python
PYTHON ?= python3
TORCH_INDEX ?=
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
PHOTOS ?= portraits
# The bindings alone, 6 MB each, for tests that hold our code to them; one environment has room for one version only.
TENSORRT := 10.16.1.11 11.4.0.106

.PHONY: run demo test parity faults lint bench clean
.DEFAULT_GOAL := run

run: $(VENV)/.run
	@cd $(HERE) && echo "Photos to try with:" && $(PY) benchmarks/demo.py photos out/photos
	@cd $(HERE) && exec $(VENV)/bin/likeness serve --data out/data

demo: $(VENV)/.run
	@cd $(HERE) && $(PY) benchmarks/demo.py render out/demo

test: $(VENV)/.test
	cd $(HERE) && $(PY) -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile

parity: $(VENV)/.test
	cd $(HERE) && $(PY) -m pytest -m slow

faults: $(VENV)/.test
	cd $(HERE) && $(PY) -m tests.faults.run

lint: $(VENV)/.test
	cd $(HERE) && $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	cd $(HERE) && $(VENV)/bin/mypy && $(VENV)/bin/pyright

bench: $(VENV)/.test
	cd $(HERE) && $(PY) benchmarks/photos.py --photos "$(PHOTOS)"
	cd $(HERE) && $(PY) benchmarks/likeness.py --photos "$(PHOTOS)"
	cd $(HERE) && $(PY) benchmarks/render.py
	cd $(HERE) && $(PY) benchmarks/provenance.py
	cd $(HERE) && $(PY) benchmarks/style_kit.py
	cd $(HERE) && $(PY) benchmarks/serve.py

$(VENV)/.venv:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.run: $(VENV)/.venv $(HERE)pyproject.toml
	cd $(HERE) && $(PIP) -e '.[demo,heif]'
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	cd $(HERE) && $(PIP) -e '.[export,dev]'
	-for version in $(TENSORRT); do $(PIP) --no-deps --upgrade --target $(VENV)/tensorrt/$$version tensorrt-cu13-bindings==$$version; done
	touch $@

clean:
	rm -rf $(VENV) $(HERE)out $(HERE)dist
