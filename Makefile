# Every task of a developer or a user who builds from source. `make help` lists them.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(abspath $(TARGET))/tools
export PATH := $(TOOLS)/bin:$(PATH)
BENCH ?= all
DEMO ?= edge
KEEP ?=

.PHONY: help setup needs kubernetes build demo lab test bench lint audit fuzz clean

help: ## list the tasks
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: ## install what building and testing need; says what it installs, safe to repeat
	@scripts/setup
	@scripts/setup kubernetes

# All but the cluster, which is the only thing that needs Go.
needs:
	@scripts/setup

# The cluster's programs, for what starts one.
kubernetes:
	@scripts/setup kubernetes

build: needs ## build the release programs and the kernel programs
	cargo run --quiet --package bpf-build
	cargo build --release --workspace --all-features

demo: build $(if $(filter kubernetes,$(DEMO)),kubernetes) ## on real traffic: the edge node, or DEMO=kubernetes (KEEP=1: stays up)
	@KEEP="$(KEEP)" $(TARGET)/release/sluice-demo $(DEMO)

lab: build kubernetes ## a Kubernetes cluster of two nodes behind a router, to play with until Ctrl-C
	@$(TARGET)/release/sluice-demo lab

test: build kubernetes ## every test: unit, property, kernel, real routers, end to end
	cargo xtask deps
	cargo test --quiet --doc --workspace --all-features
	SLUICE_TEST_REQUIRE=1 cargo nextest run --workspace --all-features --config-file .config/nextest.toml

bench: build $(if $(filter k8s all,$(BENCH)),kubernetes) ## measure (BENCH=agent|bgp|k8s|lb|xdp|all); tables, and target/bench/AREA.json
	@$(TARGET)/release/sluice-bench $(BENCH)

lint: needs ## formatting, clippy, dependencies' direction, names in the documents
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	cargo xtask deps
	cargo xtask docs

audit: needs ## licences, sources and banned crates
	@scripts/setup cargo-deny
	cargo deny check bans licenses sources

fuzz: needs ## run every fuzz target for a minute (needs a nightly toolchain)
	@scripts/fuzz 60

clean: ## remove everything that was built
	cargo clean
