# Everything runs in environments of the checkout: .venv/ and, for the framework tests, .venv-frameworks/.
# Needed on the machine: make, bash and one Python of 3.10 to 3.13.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# The first of these that is there and is 3.10 to 3.13; `make PYTHON=/path/to/python ...` overrides.
PYTHONS := $(if $(PYTHON),$(PYTHON),python3.11 python3.10 python3.12 python3.13 python3)
# Which tests pytest runs; empty for all of them.
MARK ?= not slow
# On machines where PyPI's torch brings CUDA along (gigabytes): TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

VENV := .venv
STAMP := $(VENV)/.installed
FRAMEWORKS := .venv-frameworks
FRAMEWORKS_BASE := $(FRAMEWORKS)/.base-torch2.13.0-nir1.0.8-snntorch1.0.0-sinabs3.1.3
FRAMEWORKS_STAMP := $(FRAMEWORKS)/.installed
FRAMEWORKS_LOG := build/frameworks-install.log
LAVA := .venv-lava
LAVA_STAMP := $(LAVA)/.installed-lava0.10.0-pydantic2
AIHWKIT := .venv-aihwkit
AIHWKIT_STAMP := $(AIHWKIT)/.installed-aihwkit1.1.0
NEUROBENCH := .venv-neurobench
NEUROBENCH_STAMP := $(NEUROBENCH)/.installed-neurobench2.3.0

define FIND_PYTHON
python=""; \
for p in $(PYTHONS); do \
  if "$$p" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then \
    python="$$p"; break; fi; done; \
if [ -z "$$python" ]; then \
  echo "hwsdk needs Python 3.10, 3.11, 3.12 or 3.13, and none of these is one: $(PYTHONS)."; \
  echo "Install one (Debian and Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python"; \
  exit 1; fi; \
if ! "$$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then \
  echo "$$python cannot make environments. Debian and Ubuntu: apt install python3-venv"; exit 1; fi
endef

define INSTALL_FAILED
{ echo "The installation failed. It needs a package index: check the network, or pip's proxy and index settings."; exit 1; }
endef

.PHONY: help
help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

.PHONY: demo
demo: $(STAMP) ## compile, simulate and price a digits network on every target
	@$(VENV)/bin/python examples/demo.py

.PHONY: test
test: lint typecheck test-main test-frameworks ## lint, types, all tests but the slow ones

.PHONY: test-slow
test-slow: aihwkit neurobench ## the same with the slow tests
	@$(MAKE) --no-print-directory test MARK=

.PHONY: test-main
test-main: $(STAMP) lava tools ## pytest alone
	@mkdir -p build
	$(VENV)/bin/python -m pytest -m "$(MARK)" --ignore=tests/frameworks --junitxml=build/junit-main.xml

# Lava exists for Python 3.10 only: on the path, in pyenv, or through uv.
.PHONY: lava
lava: ## the environment in which tests compare with lava-nc, if there is a Python 3.10
	@mkdir -p build; rm -f build/no-python3.10; \
	if [ -e $(LAVA_STAMP) ]; then exit 0; fi; \
	python=""; for p in python3.10 $$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.10*/bin/python 2>/dev/null) \
	  $$(uv python find 3.10 2>/dev/null); do \
	  if "$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 10))' >/dev/null 2>&1; then \
	    python="$$p"; break; fi; done; \
	if [ -z "$$python" ]; then touch build/no-python3.10; \
	  echo "not compared with Lava: it needs Python 3.10, which is not on the path, in pyenv or uv"; exit 0; fi; \
	echo "installing lava-nc into $(LAVA)/ with $$("$$python" --version)"; \
	if "$$python" -m venv --clear $(LAVA) && $(LAVA)/bin/python -m pip install --quiet lava-nc==0.10.0 'pydantic>=2.5' \
	  >build/lava-install.log 2>&1; then touch $(LAVA_STAMP); exit 0; fi; \
	rm -rf $(LAVA); echo "lava-nc cannot be installed; see build/lava-install.log"; [ "$${CI:-}" != true ]

# Its noise models are Python; the wheel of 1.1.0 imports without its C++ part, and is for Python 3.11 alone.
.PHONY: aihwkit
aihwkit: ## the environment in which slow tests compare with aihwkit's noise models (Python 3.11)
	@if $(MAKE) --no-print-directory $(AIHWKIT_STAMP); then exit 0; fi; \
	echo "not compared with aihwkit: it needs Python 3.11 and a package index"; [ "$${CI:-}" != true ]

$(AIHWKIT_STAMP):
	@$(FIND_PYTHON); "$$python" -m venv --clear $(AIHWKIT)
	$(AIHWKIT)/bin/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(AIHWKIT)/bin/python -m pip install --quiet numpy scipy tqdm requests
	$(AIHWKIT)/bin/python -m pip install --quiet --no-deps aihwkit==1.1.0
	@touch $@

.PHONY: neurobench
neurobench: ## the environment in which slow tests compare with the neurobench package (Python 3.11)
	@if $(MAKE) --no-print-directory $(NEUROBENCH_STAMP); then exit 0; fi; \
	echo "not compared with neurobench: it needs Python 3.11 and a package index"; [ "$${CI:-}" != true ]

$(NEUROBENCH_STAMP):
	@$(FIND_PYTHON); "$$python" -m venv --clear $(NEUROBENCH)
	$(NEUROBENCH)/bin/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(NEUROBENCH)/bin/python -m pip install --quiet snntorch==1.0.0 numpy tqdm
	$(NEUROBENCH)/bin/python -m pip install --quiet --no-deps neurobench==2.3.0
	@touch $@

# ngspice and iverilog check the SFQ netlists, chromium looks at the reports, the others run and build the firmware.
# Command: Debian package. The tests that need them skip, and say so, where they are not and cannot be installed.
TOOLS := ngspice:ngspice iverilog:iverilog cc:gcc qemu-system-arm:qemu-system-arm arm-none-eabi-gcc:gcc-arm-none-eabi \
  qemu-system-riscv32:qemu-system-misc riscv64-unknown-elf-gcc:gcc-riscv64-unknown-elf \
  chromium:chromium chromedriver:chromium-driver

.PHONY: tools
tools: ## ngspice, Icarus Verilog, QEMU, cross compilers, Chromium, if packages can be installed here without a password
	@mkdir -p build; missing=(); for tool in $(TOOLS); do \
	  command -v $${tool%%:*} >/dev/null || missing+=($${tool##*:}); done; \
	if [ $${#missing[@]} -eq 0 ]; then exit 0; fi; \
	root=(); if [ "$$(id -u)" != 0 ]; then root=(sudo -n); fi; \
	echo "installing $${missing[*]}"; \
	if command -v apt-get >/dev/null && { "$${root[@]}" apt-get install -y --no-install-recommends "$${missing[@]}" || \
	  { "$${root[@]}" apt-get update && "$${root[@]}" apt-get install -y --no-install-recommends "$${missing[@]}"; }; } \
	  >build/tools-install.log 2>&1; then exit 0; fi; \
	echo "not installed: $${missing[*]} (Debian and Ubuntu: apt install $${missing[*]}; see build/tools-install.log)"; \
	[ "$${CI:-}" != true ]

.PHONY: test-frameworks
test-frameworks: ## the tests that need PyTorch, snnTorch, Norse and sinabs (about 1.1 GB, once)
	@mkdir -p build
	@if ! compgen -G 'tests/frameworks/test_*.py' >/dev/null; then exit 0; fi; \
	if ! $(MAKE) --no-print-directory $(FRAMEWORKS_STAMP) >$(FRAMEWORKS_LOG) 2>&1; then \
	  if [ "$${CI:-}" = true ]; then tail -n 30 $(FRAMEWORKS_LOG); \
	    echo "the framework environment cannot be built"; exit 1; fi; \
	  echo "tests/frameworks not run: PyTorch, snnTorch, Norse and sinabs cannot be installed here" \
	    "(needs Python 3.11 and a package index; see $(FRAMEWORKS_LOG), then: make test-frameworks)"; \
	  exit 0; fi; \
	$(FRAMEWORKS)/bin/python -m pytest -m "$(MARK)" tests/frameworks --junitxml=build/junit-frameworks.xml

.PHONY: lint
lint: $(STAMP) ## ruff
	$(VENV)/bin/ruff check .

# mypy has to see backends/, mappers/ and simulators/ where they are installed: inside hwsdk. Hence a view of links.
.PHONY: typecheck
typecheck: $(STAMP) ## mypy --strict on the library
	@rm -rf build/mypy && mkdir -p build/mypy/hwsdk
	@ln -s $(addprefix ../../../,$(filter-out %/__pycache__,$(wildcard hwsdk/*)) backends firmware_stubs mappers simulators) build/mypy/hwsdk/
	$(VENV)/bin/mypy | sed -E 's#^build/mypy/hwsdk/(backends|mappers|simulators)/#\1/#; s#^build/mypy/##'

.PHONY: docs
docs: $(STAMP) ## the documentation as a site in build/site/; its tutorials are run
	@$(VENV)/bin/python -m mkdocs build --strict --quiet && echo "build/site/index.html"

.PHONY: bench
bench: $(STAMP) ## speed of the simulator; beside others with BRIAN2= and SANAFE=/path/to/python, PEERS=folder of run_brian2.py
	@$(VENV)/bin/python benchmarks/run_hwsdk.py 10000 100 2000
	@$(VENV)/bin/python benchmarks/compare_peers.py $(if $(BRIAN2),--brian2 $(BRIAN2)) $(if $(SANAFE),--sanafe $(SANAFE)) \
	  $(if $(PEERS),--peers $(PEERS))

.PHONY: silicon
silicon: $(STAMP) ## published measurements of Loihi and Loihi 2 beside what hwsdk predicts
	@$(VENV)/bin/python benchmarks/silicon.py

.PHONY: digits
digits: $(STAMP) ## train the networks of examples/ again
	$(VENV)/bin/python examples/train_digits.py
	$(VENV)/bin/python examples/train_digits_sfq.py
	$(VENV)/bin/python examples/train_xor.py

.PHONY: clean
clean: ## remove what was built, but not the environments
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove the environments too
	rm -rf $(VENV) $(FRAMEWORKS) $(LAVA) $(AIHWKIT) $(NEUROBENCH)

$(STAMP): pyproject.toml
	@$(FIND_PYTHON); echo "installing into $(VENV)/ with $$("$$python" --version)"; "$$python" -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --editable '.[test,examples]' || $(INSTALL_FAILED)
	@$(VENV)/bin/python -m pip install --quiet --no-deps badcrossbar==1.1.0 pathvalidate==3.3.1 || \
	  echo "not compared with badcrossbar: pip install --no-deps badcrossbar==1.1.0 pathvalidate==3.3.1"
	@touch $@

# sinabs 3.1.3 asks for nir <= 1.0.4 although it works with 1.0.8, and without the constraint pip takes a CUDA torch.
$(FRAMEWORKS_BASE):
	$(FIND_PYTHON); "$$python" -m venv --clear $(FRAMEWORKS)
	echo torch==2.13.0 > $(FRAMEWORKS)/constraints.txt
	$(FRAMEWORKS)/bin/python -m pip install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(FRAMEWORKS)/bin/python -m pip install -c $(FRAMEWORKS)/constraints.txt \
	  nir==1.0.8 snntorch==1.0.0 norse nirtorch samna pbr matplotlib \
	  pytest hypothesis scipy h5py numba pydantic rich 'setuptools>=68'
	$(FRAMEWORKS)/bin/python -m pip install --no-deps sinabs==3.1.3
	touch $@

$(FRAMEWORKS_STAMP): $(FRAMEWORKS_BASE) pyproject.toml
	$(FRAMEWORKS)/bin/python -m pip install --no-deps --editable .
	touch $@
