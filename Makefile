# make setup    .venv from requirements.lock, with `codesign` installed in editable form
# make explore  the main job: search, training, Verilog, synthesis, verification
# make characterize ARGS="--count 200"   more synthesis data for the area models
# make sweep ARGS="--count 300 --jobs 2 --seed 0"   random networks on random NPUs, simulated
# make fuzz ARGS="--seconds 60"   damaged files for every reader; ten minutes each without ARGS
# make names ARGS="--every 10"   hostile names on every way that a name takes, by real tools
# make faults ARGS="--count 20"   kills, full disks and the like at random moments of commands
# make headline-verify DATA=path/to/cifar10.zip [DESIGN=name] [CLOCK=1]   the front, recomputed
# make node-tests   ONNX's own node tests of the mapped operators (docs/measurements)
# make docs     rewrites the parts of pages that are made from the code and from the front's index
# make api      pages of all classes and functions, in docs/_api
# make test     everything that a change must pass
#
# ARGS=...      more arguments for `codesign explore`, for example
#               make explore ARGS="--dataset fashion-mnist --data-dir ~/data --out runs/fashion"
# PYTHON=...    the interpreter to make .venv with (3.11 or newer)
# PIP_ARGS=...  more arguments for `pip install` (an index with CPU builds of torch, a proxy, ...)

PYTHON ?= python3
LUT_BUDGET ?= 30000
OUT ?= runs/explore
ARGS ?=
PIP_ARGS ?=

BIN := .venv/bin
STAMP := .venv/.setup-done

.PHONY: setup explore check-explore characterize sweep fuzz names faults headline-verify node-tests \
  docs api lint test clean
.DELETE_ON_ERROR:

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "codesign needs Python 3.11 or newer; run: make setup PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv \
	  || { rm -rf .venv; echo "no venv module: apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

explore: setup
	$(BIN)/codesign explore --lut-budget $(LUT_BUDGET) --out $(OUT) $(ARGS)

# Holds the run's summary.json against the figures that the project promises.
check-explore:
	$(BIN)/python tests/check_explore.py $(OUT)/summary.json --lut-budget $(LUT_BUDGET)

# Synthesises more sampled configurations into the area models' data; resumable, hours for many.
characterize: setup
	$(BIN)/codesign characterize $(ARGS)

# Random networks on random NPUs, bit for bit and cycle for cycle (docs/explanation/sweep.md); resumable.
sweep: setup
	$(BIN)/python -m tests.sweep $(ARGS)

# Damaged files for every reader (docs/security.md).
fuzz: setup
	$(BIN)/python -m tests.fuzz $(ARGS)

# Names from elsewhere through Yosys, nextpnr, Verilator, tclsh, fusesoc if it is installed.
names: setup
	$(BIN)/python -m tests.hostile.chain $(ARGS)

# Commands, hit at random moments; needs root for the full disk (docs/measurements/faults.md).
faults: setup
	$(BIN)/python -m tests.faults $(ARGS)

# Designs of examples/cifar10, without training. make's own status is 2 where a figure differs, too.
headline-verify: setup
	@test -n "$(DATA)" || { echo "give the data: make headline-verify DATA=path/to/cifar10.zip" >&2; exit 2; }
	$(BIN)/python -m benchmarks.headline verify "$(DATA)" $(if $(DESIGN),--design "$(DESIGN)") \
	  $(if $(CLOCK),--clock)

node-tests: setup
	$(BIN)/python -m tests.models.importing.node_tests

# The blocks between <!-- table: ... --> and <!-- end -->; the tests hold them to the code.
docs: setup
	$(BIN)/python -m docs.generate

api: setup
	$(BIN)/python -m pdoc --output-directory docs/_api codesign models rtl_gen sim

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

clean:
	rm -rf build runs docs/_api .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
