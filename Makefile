# Everything here runs as it stands on a fresh Debian 12 with Go, git, make and python3.

GO         ?= go
CACHE      ?= $(CURDIR)/.cache
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# setuptools makes the wheels that ours are compared with, byte for byte: the old one, which needs wheel for it, and
# the newest one for the Python of Debian 12.
SETUPTOOLS     = 66.1.1
WHEEL          = 0.38.4
SETUPTOOLS_NEW = 84.2.1
VENV           = $(CACHE)/venv-$(SETUPTOOLS)-$(WHEEL)
VENV_NEW       = $(CACHE)/venv-$(SETUPTOOLS_NEW)

# Tests say here what a passing test would not show: how much was compared.
REPORT         = $(CACHE)/report

# The largest matrices are sampled under the race detector, and gone through as a whole without it; so many simulated
# rounds among them look for a wrong deletion.
ROUNDS     ?= 1000000
MATRICES    = ^Test(Rounds$$|Shapes$$|ExactlyOneJob|EveryFault|FaultsOf|FailingForADay|UnstableOver|AdoptionAndFaults|ReloadDuringApply)

# Tests sync small files all the time, which a folder in memory makes cheap.
TESTTMP     = $(shell test -w /dev/shm && echo /dev/shm || echo $${TMPDIR:-/tmp})

.PHONY: build test bench lint demo clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o selvage ./cmd/selvage

# A test binary that re-executes itself would otherwise sleep a second at each exit under -race.
test: $(VENV)/ok $(VENV_NEW)/ok
	rm -f $(REPORT)
	TMPDIR=$(TESTTMP) GORACE=atexit_sleep_ms=0 SELVAGE_TEST_PYTHON=$(VENV)/bin/python SELVAGE_TEST_PYTHON_NEW=$(VENV_NEW)/bin/python \
		SELVAGE_TEST_REPORT=$(REPORT) $(GO) test -race -timeout 60m $(TESTFLAGS) ./...
	TMPDIR=$(TESTTMP) SELVAGE_TEST_ROUNDS=$(ROUNDS) SELVAGE_TEST_REPORT=$(REPORT) $(GO) test -run '$(MATRICES)' -timeout 20m ./reconciler
	@cat $(REPORT) 2>/dev/null || true

$(VENV)/ok: PINS = setuptools==$(SETUPTOOLS) wheel==$(WHEEL)
$(VENV_NEW)/ok: PINS = setuptools==$(SETUPTOOLS_NEW)
$(VENV)/ok $(VENV_NEW)/ok:
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/pip install -q --disable-pip-version-check $(PINS)
	touch $@

bench: $(VENV)/ok $(VENV_NEW)/ok
	TMPDIR=$(TESTTMP) $(GO) test -run '^$$' -bench . -benchtime 3x ./...

lint:
	@out=$$(gofmt -l cmd configs gitwatch artifacts fabric reconciler testdata); test -z "$$out" || { echo "not gofmt: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

demo:
	$(GO) run ./cmd/selvage demo

clean:
	rm -rf selvage $(CACHE)
