# Everything a person or CI starts. `make demo` and `make test` need Python 3.11, make and a package index.
PYTHON ?= python3
VENV ?= .venv
GPU_VENV ?= .venv-gpu
TOOLS_VENV ?= .venv-tools
# What is installed, to the byte: locks/dev.txt, or cpu or gpu, without what only tests and checks need.
LOCK ?= dev
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TOOLS := $(TOOLS_VENV)/bin
# The CPU's and the GPU's builds of onnxruntime and faiss overwrite each other's files, so an environment is for one device.
READY := $(VENV)/.ready-$(if $(filter gpu,$(LOCK)),gpu,cpu)
OVERLAPPING := opencv-python opencv-python-headless onnxruntime onnxruntime-gpu faiss-cpu faiss-gpu

.PHONY: demo seed test soak check docs install gpu lock sbom vulnerabilities clean

demo: $(READY)
	$(BIN)/python examples/demo/gallery.py examples/demo/gallery
	$(BIN)/idleak audit examples/demo/audit.yaml
	$(BIN)/idleak report --with-faces runs/demo

# Three claims in miniature, by 50 small generators: hours on one core, and it goes on where it was stopped.
seed: $(READY)
	PYTHONPATH=examples/demo OMP_NUM_THREADS=1 $(BIN)/python examples/seed/protocol.py
	PYTHONPATH=examples/demo $(BIN)/python examples/seed/claims.py --figure build/seed/claims.png

test: check
	$(BIN)/python -m pytest -n 2 --dist worksteal

# What is too slow for every change.
soak: $(READY) vulnerabilities
	$(BIN)/python -m pytest -m slow

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages of docs/ as a site, in build/docs; a dead link is an error, unless `--quiet` hides it.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

install: $(READY)

# Every file is one whose digest is in the lock. Packages that share their files are never there together, even in an older environment.
$(READY): pyproject.toml locks/$(LOCK).txt locks/cuda.txt locks/torch-cpu.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "idleak needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	rm -f $(VENV)/.ready-*
	$(PIP) uninstall -qq --yes $(OVERLAPPING)
	$(if $(filter gpu,$(LOCK)),,$(PIP) install -qqq --require-hashes --no-deps -r locks/torch-cpu.txt \
		|| echo "pip's index has no CPU build of torch here: PyPI's build is taken, on Linux with 3 GB of CUDA's libraries.")
	$(PIP) install --quiet --require-hashes --no-deps -r locks/$(LOCK).txt
	! $(BIN)/python locks/wants_cuda.py || $(PIP) install --quiet --require-hashes --no-deps -r locks/cuda.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	touch $@

# In an environment of its own.
gpu:
	$(MAKE) install VENV=$(GPU_VENV) LOCK=gpu

# The locks anew, from pyproject.toml and constraints.txt; what is locked stays as it is, but with UPGRADE=--upgrade.
RESOLVE := $(TOOLS)/uv pip compile --quiet --universal --python-version 3.11.5 --generate-hashes --no-annotate --no-header \
	-c constraints.txt $(UPGRADE)

lock: $(TOOLS)/.ready
	$(RESOLVE) --config-file locks/uv-cpu.toml --extra cpu --extra diffusers --extra dev pyproject.toml -o locks/dev.txt
	$(RESOLVE) --config-file locks/uv-cpu.toml -c locks/dev.txt --extra cpu --extra diffusers --extra heic --extra lmdb pyproject.toml -o locks/cpu.txt
	$(RESOLVE) --config-file locks/uv-gpu.toml -c locks/dev.txt --extra gpu --extra diffusers --extra heic --extra lmdb pyproject.toml -o locks/gpu.txt
	echo torch | $(RESOLVE) -c locks/gpu.txt $$(sed -n 's/^\([a-z][^=]*\)==.*/--no-emit-package \1/p' locks/cpu.txt) - -o locks/cuda.txt
	$(RESOLVE) --group tools -o locks/tools.txt

# A bill of materials of the environment, with licences: CycloneDX, JSON. The digests are in locks/.
sbom: $(READY) $(TOOLS)/.ready
	mkdir -p build
	$(TOOLS)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible -o build/sbom.json $(BIN)/python

# Known vulnerabilities of what is locked. It asks PyPI's database: without the network that is said, and nothing is checked.
vulnerabilities: $(TOOLS)/.ready
	$(TOOLS)/python locks/vulnerabilities.py locks/dev.txt locks/gpu.txt

$(TOOLS)/.ready: locks/tools.txt
	$(PYTHON) -m venv $(TOOLS_VENV)
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r locks/tools.txt
	touch $@

clean:
	rm -rf $(VENV) $(GPU_VENV) $(TOOLS_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
