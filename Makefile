# `make help` lists the targets. Go and make are all that a fresh machine needs: the targets that need more install it
# first, with the system's package manager (scripts/install-packages).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

FUZZTIME ?= 10s# of each fuzz target
BENCH ?= .# which micro-benchmarks, a regular expression
COUNT ?= 6# runs of each benchmark that benchstat compares
PACKAGES ?= ./...# which packages test, race, fuzz and bench look at
TESTFLAGS ?=# more flags for go test, such as -v
SEEDS ?= 100000# simulated runs of two proxies
COMMANDS ?= 10000000# of the long differential run
DURATION ?= 5m# of each variant of the long chaos run, at least
READS ?= 100000000# that the long chaos run checks at least
VARIANT ?=# of the long chaos run, a regular expression, such as copies; all without it
SEED ?= 0# of the long chaos run; 0 is any
FAULTFLAGS ?= -fault-time=6m -fault-margin=100ms -fault-pairs=5 -fault-window=4s -slow-seconds=10 -visits=1000000 -streams=1000000# of the long run of faults
FAULTS ?=# which of them: /link, /servers, /streams, /visits, /isolation, /slow, /namespaces; all without it
HOTKEYFLAGS ?=# of the measurement of hot keys, such as --lines a,e --runs 2; --help lists them
METRICSFLAGS ?=# of the measurement of what counting costs, such as --pairs 3 --seconds 1; --help lists them
UPGRADES ?= 100# of the long run of upgrades
KEYSTONEFLAGS ?=# of the tests with the real Keystone, such as -full, or -run 'TestKeystone/dogpile.cache.pylibmc'
RIVALFLAGS ?=# of the comparison with other proxies, such as --pairs 3 --seconds 2; --help lists them

.PHONY: help build run test race norace simulate soak-simulate fuzz lint bench bench-compare bench-rivals bench-hotkeys bench-copies bench-faults bench-metrics soak-differential soak-chaos soak-chaos-mutants soak-faults soak-upgrades e2e-keystone tutorial install-test-deps clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The version is stamped here and not by the go command: -buildvcs fails in a checkout that belongs to another user.
build: ## Build bin/mcproxy, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/mcproxy ./cmd/mcproxy

run: ## Install memcached if it is missing, build, and start a proxy before real memcacheds
	@scripts/install-packages memcached
	@$(MAKE) --no-print-directory build
	bin/mcproxy quickstart

test: install-test-deps ## Install what the tests need, and run them all
	@$(MAKE) --no-print-directory race norace simulate

race: ## Run the tests under the race detector
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 20m $(TESTFLAGS) $(PACKAGES)

norace: ## Run the tests that the race detector would falsify (allocations, memory)
	GO='$(GO)' scripts/test-norace $(TESTFLAGS) $(PACKAGES)

simulate: ## Simulate servers that fail, and two proxies over the same servers SEEDS times (100000), and check what their clients saw
	$(GO) test ./pool -run '^(TestTwoProxies|TestFailedWritesNeverComeBack|TestMovedKeysAreNeverOld|TestTwoProxiesMoveKeys)$$' -timeout 0 -v -pair-seeds=$(strip $(SEEDS))

soak-simulate: ## Simulate two proxies that make copies of hot keys, SEEDS times (100000), about five minutes, and break one rule after the other
	$(GO) test ./pool -run '^(TestCopies|TestCopyMutants)$$' -timeout 0 -v -copy-seeds=$(strip $(SEEDS))

fuzz: ## Run each fuzz target for FUZZTIME (10s)
	GO='$(GO)' FUZZTIME='$(strip $(FUZZTIME))' scripts/fuzz $(PACKAGES)

lint: ## Check format, vet, go fix, staticcheck and go.mod
	GO='$(GO)' scripts/lint

bench: ## Run the micro-benchmarks; BENCH=<regexp> chooses
	$(GO) test -run '^$$' -bench '$(strip $(BENCH))' -benchmem $(PACKAGES)

bench-compare: ## Compare the micro-benchmarks of REF=<commit> with the working tree's (or TO=<commit>'s)
	GO='$(GO)' BENCH='$(strip $(BENCH))' COUNT='$(strip $(COUNT))' scripts/bench-compare '$(REF)' '$(TO)'

bench-rivals: ## Compare mcproxy with other proxies, an hour and a half, and write bench/results; RIVALFLAGS='--pairs 3 --seconds 2' is a quick look
	@GO='$(GO)' scripts/bench-rivals $(RIVALFLAGS)

bench-hotkeys: ## Measure what becomes of hot and oversized keys, a quarter of an hour, and write bench/results; HOTKEYFLAGS='--runs 2 --seconds 2' is a quick look
	@GO='$(GO)' scripts/bench-hotkeys $(HOTKEYFLAGS)

bench-metrics: ## Measure what counting requests costs, six minutes, and write bench/results; METRICSFLAGS='--pairs 3 --seconds 1' is a quick look
	@GO='$(GO)' scripts/bench-metrics $(METRICSFLAGS)

bench-copies: ## Measure what copies of hot keys do, through several proxies, half an hour, and write bench/results; COPYFLAGS='--runs 1 --pairs 2 --seconds 3' is a quick look
	@GO='$(GO)' scripts/bench-copies $(COPYFLAGS)

bench-faults: ## Measure what a stopped memcached and slow clients cost others, ten minutes, and write bench/results; FAULTBENCHFLAGS='--pairs 2' is a quick look
	@GO='$(GO)' scripts/bench-faults $(FAULTBENCHFLAGS)

soak-differential: ## Compare 10 million random commands through the proxy with memcached's own answers
	@scripts/install-packages memcached
	$(GO) test ./internal/e2e -run '^TestDifferential$$' -timeout 0 -v -commands=$(strip $(COMMANDS))

soak-chaos: ## Break proxies and memcacheds until 100 million reads are checked, about an hour; VARIANT=copies DURATION=10m READS=0 SEED=7 are a choice
	@scripts/install-packages memcached
	$(GO) test ./internal/chaos -run '^TestChaos$$' -timeout 0 -v -variant='$(strip $(VARIANT))' -duration=$(strip $(DURATION)) -reads=$(strip $(READS)) -seed=$(strip $(SEED))

soak-chaos-mutants: ## Break one rule of the copies of hot keys after the other, in real proxies, and have the chaos run find each; about ten minutes
	@scripts/install-packages memcached
	$(GO) test ./internal/chaos -run '^TestChaosFindsMutants$$' -timeout 0 -v -mutants -seed=$(strip $(SEED))

soak-faults: ## Break links, networks and backends, send a million random streams, have a million clients come and go, over twenty minutes; FAULTS=/visits is a choice
	@scripts/install-packages memcached iproute2
	$(GO) test ./internal/e2e -run '^TestFaults$$$(strip $(FAULTS))' -timeout 0 -v $(FAULTFLAGS)

soak-upgrades: ## Have UPGRADES (100) processes take each other's place under load, and let others fail to
	@scripts/install-packages memcached
	$(GO) test ./internal/e2e -run '^TestUpgrade' -timeout 0 -v -upgrades=$(strip $(UPGRADES))

e2e-keystone: install-test-deps ## Install OpenStack's Keystone (no service is started) and test with it; KEYSTONEFLAGS=-full is the long version
	@scripts/install-packages python3-keystone uwsgi-core uwsgi-plugin-python3
	$(GO) test -tags keystone ./internal/keystonetest -parallel 8 -timeout 40m -v $(KEYSTONEFLAGS)

tutorial: ## Tell the story of docs/tutorial-skew.md for 4 minutes, and write what is measured, printed and seen into it
	@scripts/install-packages memcached chromium fonts-inter fonts-jetbrains-mono
	$(GO) test ./cmd/mcproxy -run '^TestTutorial$$' -tell-tutorial 80s -v

install-test-deps: ## Install what the tests need (as root or with sudo; nothing to do when all is there)
	@scripts/install-packages memcached nutcracker python3-memcache python3-pymemcache python3-pylibmc python3-dogpile.cache libmemcached-tools strace gcc prometheus iproute2 chromium tmux systemd

clean: ## Remove what make built
	rm -rf bin
