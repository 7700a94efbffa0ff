# Needs Go and make, nothing else.
GO       ?= go
GOFMT     = $(shell $(GO) env GOROOT)/bin/gofmt
FUZZTIME ?= 10s
TIME     ?= 1m
JOBS     ?= 2
SEED     ?= 1
EXECUTIONS ?= 100000000
BENCH    ?= .
TRACEDIR ?= ../shared/traces
TRACES    = $(wildcard $(TRACEDIR)/*.json.gz)
STATICCHECK = v0.8.2
GOVULNCHECK = v1.9.0
TARGETS   = js/wasm windows/amd64 darwin/arm64 linux/386

.PHONY: test demo bench profile bench-peers bench-install bench-check replay fuzz cross format build mutants soak soak-decoders lint vuln

# SKIP is a pattern of tests to leave out.
test: format
	$(GO) vet -pgo=off ./...
	$(GO) test -vet=off -pgo=off $(if $(SKIP),-skip '$(SKIP)') ./...

# Three replicas edit, part, and meet again; a recorded editing trace is replayed; clients use a server that is killed.
demo:
	@$(GO) run ./cmd/weft demo

build:
	$(GO) build -trimpath -o bin/weft ./cmd/weft

# The profile that go build optimizes the program by: cmd/weft/default.pgo. Worth doing again when hot code has changed.
profile:
	rm -rf bin/profile && mkdir -p bin/profile
	set -e; take() { \
		$(GO) test -trimpath -pgo=off -run '^$$' -o bin/profile/test -cpuprofile bin/profile/$$1.prof -bench "$$3" -benchtime $$4 $$2; }; \
	take local ./cmd/weft 'ReplayLocal/(auto|gen)' 2s; \
	take remote ./cmd/weft 'ReplayRemote/(auto|friends|svelte|gen)' 2s; \
	take state ./cmd/weft '^Benchmark(Save|LoadRead|LoadEdit)$$/(auto|friends|gen)' 2s; \
	take types ./crdt 'Counter|Register|MapSet|MapGet|Objects|SmallDelta' 100ms; \
	take lists ./crdt 'BenchmarkList$$' 20ms; \
	take sessions ./providers 'FanOut|Receive|ManyTypists' 1s; \
	take server ./providers/ws 'Deliveries' 2s
	cd bench && $(GO) run ./profile -o ../cmd/weft/default.pgo ../bin/profile/*.prof

bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

# Weft and the libraries beside it, measured in one run; bench/README.md tells more. What cannot be installed is left out.
# BENCHFLAGS=-resume goes on with a run that was interrupted.
bench-peers: build bench-install
	cd bench && $(GO) run . -weft ../bin/weft -traces $(abspath $(TRACEDIR)) $(BENCHFLAGS)
	cd bench && $(GO) run . -traces $(abspath $(TRACEDIR)) -report ../docs/benchmarks.md

# The libraries, by their ordinary package managers.
bench-install:
	-cd bench/js && npm install --no-audit --no-fund --no-package-lock
	-cd bench/rust && cargo build --release $(CARGOFLAGS)
	-cd bench/go && $(GO) build -o peers .

# Fails if a task takes more than 10 % longer, or more bytes, than with the commit that bench/baseline names, which is built
# and measured in turn. To accept new figures, put another commit there.
bench-check: build
	@set -e; commit=$$(cat bench/baseline); base=bin/weft-$$commit; \
	if [ ! -x $$base ]; then \
		rm -rf bin/baseline; git worktree prune; git worktree add -q --detach bin/baseline $$commit; \
		(cd bin/baseline && $(GO) build -o ../../$$base ./cmd/weft); git worktree remove --force bin/baseline; \
	fi; \
	bin/weft bench -against $$base -runs 5

# The recorded traces, where they are beside the repository: medians of five runs in CPU time.
replay: build
	bin/weft replay -runs 5 -cpu $(TRACES)

# Every native fuzz target in turn, FUZZTIME each.
fuzz:
	@set -e; grep -rE '^func Fuzz[A-Za-z0-9_]*\(' --include='*_test.go' . | \
	sed -E 's/^(.*)\/[^/]*_test\.go:func (Fuzz[A-Za-z0-9_]*)\(.*/\1 \2/' | sort | while read -r dir name; do \
		echo "== $$dir $$name"; \
		$(GO) test "$$dir" -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s; \
	done

# Simulations of whole systems under faults, seed after seed, for TIME, JOBS at a time.
soak: build
	bin/weft simulate -for $(TIME) -jobs $(JOBS) -seed $(SEED)

# Damaged and forged inputs for all decoders, EXECUTIONS of them, JOBS rounds at a time.
soak-decoders: build
	bin/weft fuzz -decoders $(EXECUTIONS) -jobs $(JOBS) -seed $(SEED)

# Faults planted all over the module, one at a time: each has to be caught by the test that the table names.
mutants:
	$(GO) test ./internal/mutation -count=1 -v -parallel 4 -mutation.all

# Everything compiles elsewhere; 386 is vetted with its tests, for constants that do not fit an int there.
cross:
	@set -e; for t in $(TARGETS); do \
		echo "== $$t"; GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) build -pgo=off ./...; \
	done
	GOOS=linux GOARCH=386 CGO_ENABLED=0 $(GO) vet -pgo=off ./...

# More than vet finds; fetches the tool. Left out are opinions on how names, comments and error texts begin.
lint:
	$(GO) run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK) -checks 'all,-ST1000,-ST1003,-ST1005,-ST1016,-ST1020,-ST1021,-ST1022,-ST1023' ./...

# Known vulnerabilities in what the module calls; fetches the tool and asks the Go vulnerability database.
vuln:
	$(GO) run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK) ./...

format:
	@bad=$$(find . -name '*.go' -not -path './.git/*' -exec "$(GOFMT)" -l {} +); \
	if [ -n "$$bad" ]; then echo "gofmt would change:"; echo "$$bad"; exit 1; fi
