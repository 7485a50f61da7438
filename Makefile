# Two commands do everything from a bare clone, in any folder: `make run` serves, `make test` runs the tests.
# Settings of the server are variables:  LIKENESS_PORT=9000 LIKENESS_QUOTA_LITE=100 make run
# Outside a machine with its own wheel index, plain `torch` is a CUDA build of several gigabytes; TORCH_INDEX names where to
# get the CPU build:  make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
HERE := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
VENV := $(HERE).venv
PY := $(VENV)/bin/python
PYTHON ?= python3
TORCH_INDEX ?=
LOCK := $(HERE)requirements.lock
# The lock holds what is installed, and what builds it: pip names the second variable for builds since 25.3.
PIP := PIP_CONSTRAINT=$(LOCK) PIP_BUILD_CONSTRAINT=$(LOCK) $(PY) -m pip install --quiet --disable-pip-version-check
# All but `tensorrt`, which needs a GPU.
EXTRAS := demo,dev,export,heif,identity,openvino,postgres,torch
PHOTOS ?= portraits
LARGE ?=
# The bindings alone, 6 MB each, for tests that hold our code to them; one environment has room for one version only.
TENSORRT := 10.16.1.11 11.4.0.106

.PHONY: run demo test parity faults lint bench lock clean
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
	cd $(HERE) && $(PY) benchmarks/photos.py --photos "$(PHOTOS)" $(if $(LARGE),--large "$(LARGE)")
	cd $(HERE) && $(PY) benchmarks/likeness.py --photos "$(PHOTOS)"
	cd $(HERE) && $(PY) benchmarks/render.py
	cd $(HERE) && $(PY) benchmarks/provenance.py
	cd $(HERE) && $(PY) benchmarks/style_kit.py
	cd $(HERE) && $(PY) benchmarks/serve.py

$(VENV)/.venv:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.run: $(VENV)/.venv $(HERE)pyproject.toml $(LOCK)
	cd $(HERE) && $(PIP) --editable '.[demo,heif]'
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --no-deps torch
	cd $(HERE) && $(PIP) --editable '.[$(EXTRAS)]'
	-for version in $(TENSORRT); do $(PIP) --no-deps --upgrade --target $(VENV)/tensorrt/$$version tensorrt-cu13-bindings==$$version; done
	touch $@

# The newest versions that pyproject.toml allows, less torch's CUDA packages: they belong to one of its builds.
lock: $(VENV)/.venv
	$(PIP) uv
	cd $(HERE) && $(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
		--no-header --no-annotate --extra $(EXTRAS) --output-file $(LOCK) pyproject.toml
	sed -i.bak -E '/^(cuda-|nvidia-|triton)/d' $(LOCK) && rm $(LOCK).bak

clean:
	rm -rf $(VENV) $(HERE)out $(HERE)dist
