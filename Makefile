# Two commands do everything from a bare clone, in any folder: `make demo` draws avatars, `make test` runs the tests.
# Outside a machine with its own wheel index, plain `torch` is a CUDA build of several gigabytes; TORCH_INDEX names where to
# get the CPU build:  make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
HERE := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
VENV := $(HERE).venv
PY := $(VENV)/bin/python
PYTHON ?= python3
TORCH_INDEX ?=
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
PHOTOS ?= portraits

.PHONY: demo test parity lint bench clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.demo
	@cd $(HERE) && $(PY) benchmarks/demo.py out/demo

test: $(VENV)/.test
	cd $(HERE) && $(PY) -m pytest -m "not slow"

parity: $(VENV)/.test
	cd $(HERE) && $(PY) -m pytest -m slow

lint: $(VENV)/.test
	cd $(HERE) && $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	cd $(HERE) && $(VENV)/bin/mypy && $(VENV)/bin/pyright

bench: $(VENV)/.test
	cd $(HERE) && $(PY) benchmarks/photos.py --photos "$(PHOTOS)"
	cd $(HERE) && $(PY) benchmarks/likeness.py --photos "$(PHOTOS)"
	cd $(HERE) && $(PY) benchmarks/render.py

$(VENV)/.venv:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: $(VENV)/.venv $(HERE)pyproject.toml
	cd $(HERE) && $(PIP) -e '.[demo]'
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	cd $(HERE) && $(PIP) -e '.[export,dev]'
	touch $@

clean:
	rm -rf $(VENV) $(HERE)out $(HERE)dist
