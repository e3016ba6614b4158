# Everything a person or CI starts. `make demo` and `make test` need Python 3.11, make and a package index.
PYTHON ?= python3
VENV ?= .venv
GPU_VENV ?= .venv-gpu
EXTRAS ?= cpu,diffusers,dev
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The CPU's and the GPU's builds of onnxruntime and faiss overwrite each other's files, so an environment is for one device.
DEVICE := $(if $(findstring gpu,$(EXTRAS)),gpu,cpu)
READY := $(VENV)/.ready-$(DEVICE)
BUILDS_cpu := onnxruntime faiss-cpu
BUILDS_gpu := onnxruntime-gpu faiss-gpu

.PHONY: demo test soak check docs install gpu clean

demo: $(READY)
	$(BIN)/python examples/demo/gallery.py examples/demo/gallery
	$(BIN)/idleak audit examples/demo/audit.yaml
	$(BIN)/idleak report --with-faces runs/demo

test: check
	$(BIN)/python -m pytest -n 2 --dist worksteal

# What is too slow for every change.
soak: $(READY)
	$(BIN)/python -m pytest -m slow

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages of docs/ as a site, in build/docs; a dead link is an error, unless `--quiet` hides it.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

install: $(READY)

# insightface asks for the CPU's onnxruntime, and for opencv-python, which wants a desktop's libGL; the headless build is the same
# without it. Packages that share their files go together, and the right ones are put back.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "idleak needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	rm -f $(VENV)/.ready-*
	$(PIP) install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	$(PIP) uninstall --quiet --yes opencv-python opencv-python-headless $(BUILDS_cpu) $(BUILDS_gpu)
	$(PIP) install --quiet --no-deps -c constraints.txt opencv-python-headless $(BUILDS_$(DEVICE))
	touch $@

# In an environment of its own.
gpu:
	$(MAKE) install VENV=$(GPU_VENV) EXTRAS=gpu,diffusers

clean:
	rm -rf $(VENV) $(GPU_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
