# FilerPair. Two commands are enough: `make demo` and `make test`. The rest is for people who work on it.
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
NODE := node
# Node keeps what it compiled: every process of the tests starts in half the time.
export NODE_COMPILE_CACHE ?= $(CURDIR)/.cache/compiled

.DEFAULT_GOAL := help
.PHONY: help setup demo test check files unit simulate build bench bench-proxy bench-kernel-path docs images package kind kind-down e2e failures names console alerts recordings monitoring reattach admission shares scale clients kernel-path conformance disk hostile starve registers crashes mutants format generate clean explore fuzz sbom

help: ## What there is
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Node 24 and the packages, as the lock file says (done by every other target)
	@scripts/setup.sh

demo: setup ## Two servers on this machine, a writer, a kill, a takeover, a giveback; under a minute (UI=1: as a page in the browser, too)
	@$(NODE) demo/main.ts $(if $(UI),--ui)

test: setup ## Every test: code, simulation, NFS clients, a real kind cluster
	@scripts/test.sh

check: setup ## Formatting, lint, types, architecture, prose, links, packages' hashes and licences, CRDs against the last release's (seconds)
	@biome check . && tsc --noEmit && npm run --silent architecture && $(NODE) scripts/file-map.ts --check && $(NODE) scripts/prose/main.ts && $(NODE) scripts/links/main.ts && $(NODE) scripts/pictures/main.ts --check && $(NODE) scripts/cli-reference.ts --check && $(NODE) scripts/chart-values.ts --check && $(NODE) scripts/supply-chain.ts && $(NODE) scripts/crds/main.ts

files: setup ## Each source file in one sentence, from its header (IN= a folder)
	@$(NODE) scripts/file-map.ts $(IN)

unit: setup ## Unit and component tests without containers
	@vitest run

fuzz: setup ## Coverage-guided fuzzing of what reads strangers' bytes, for SECONDS= (600; TARGET=, KEEP=1 into the repository's corpus)
	@nice $(NODE) fuzzing/main.ts --seconds $(or $(SECONDS),600) $(if $(TARGET),--target $(TARGET)) $(if $(KEEP),--keep)

sbom: setup ## What is shipped, with versions, hashes and licences (CycloneDX); writes out/sbom.cdx.json
	@$(NODE) scripts/supply-chain.ts --sbom out/sbom.cdx.json

simulate: setup ## The deterministic simulation, 100,000 seeds (SEEDS=, FROM=)
	@$(NODE) simulation/main.ts --seeds $(or $(SEEDS),100000) --from $(or $(FROM),1)
	@$(NODE) simulation/reattach/main.ts --seeds $(or $(SEEDS),100000) --from $(or $(FROM),1)

explore: setup ## Every state of the pair's deciding code within larger bounds (minutes; BOUNDS= picks one)
	@$(NODE) simulation/exploration/main.ts --large $(if $(BOUNDS),--bounds $(BOUNDS))

mutants: setup ## Small faults in the code that safety depends on: does a test notice each? Hours (AREA=, FILE=, COUNT=); writes out/mutants.json
	@nice $(NODE) mutants/main.ts $(if $(AREA),--area "$(AREA)") $(if $(FILE),--file $(FILE)) $(if $(COUNT),--count $(COUNT))

clients: setup ## Real NFS clients: libnfs, and the Linux kernel's in a virtual machine
	@$(NODE) e2e/main.ts clients

kernel-path: setup ## FAULTS= (200) under writers of the Linux kernel's client, in guests with kernel 6.1 and 6.12 (WAY=private, nconnect, proxy), and by the kernel's path on this machine; writes out/kernel-path.json
	@FAULTS=$(or $(FAULTS),200) WAY=$(or $(WAY),kernel) $(NODE) e2e/main.ts kernel-path

conformance: setup ## Test suites in a Linux mount: pjdfstest, fsx (FSX_SECONDS=), a C build; long random tests (TEST=); writes docs/conformance.md
	@FSX_SECONDS=$(FSX_SECONDS) $(NODE) e2e/main.ts conformance $(TEST)

disk: setup ## Crashes of a machine and failing disks, on loop devices of the tests' own
	@$(NODE) e2e/main.ts disk

hostile: setup ## Legal calls of hostile size against a real pair for SECONDS= (3600): no server ends, nothing moves
	@SECONDS=$(SECONDS) vitest run --config e2e/vitest.config.ts --project hostile

starve: setup ## A real pair with less and less processor time, and clients: how little it stands. Some minutes; root and control groups
	@$(NODE) e2e/starvation/main.ts

registers: setup ## Registers on a real pair, by library and proxy, with freezes, kills and givebacks for SECONDS= (120): nothing stale, nothing twice
	@SECONDS=$(or $(SECONDS),120) vitest run client/registers.test.ts --reporter=verbose

crashes: setup ## Thousands of crashes: of the process (KILLS=, TRIPLES= of operations), of the machine (STATES= for each file system, SEED=); the lease cut at every point
	@EVERY_POINT=1 vitest run fileserver/data-path/lease-cut.test.ts
	@$(NODE) e2e/disk/main.ts --kills $(or $(KILLS),3000) --triples $(or $(TRIPLES),1000) --states $(or $(STATES),500) --seed $(or $(SEED),1)

e2e: setup ## The tests on a kind cluster (KEEP=1 leaves it running; SCENARIO= picks one)
	@$(NODE) e2e/main.ts cluster $(SCENARIO)

failures: setup ## Every way to fail on a kind cluster, more than an hour; writes docs/failure-modes.md (SCENARIO=)
	@$(NODE) e2e/main.ts failures $(SCENARIO)

install-check: setup ## The README's own commands on a kind cluster that knows nothing of FilerPair, with a registry
	@$(NODE) e2e/main.ts install readme

upgrade-check: setup ## An upgrade from the release before on a kind cluster, under a client that writes; needs the git history
	@$(NODE) e2e/main.ts install upgrade

names: setup ## Names outside the cluster by the real external-dns and BIND, and ways in from there (SCENARIO=)
	@$(NODE) e2e/main.ts names $(SCENARIO)

reattach: setup ## Disks that move from node to node, on a kind cluster with a CSI driver of its own (SCENARIO=)
	@$(NODE) e2e/main.ts reattach $(SCENARIO)

admission: setup ## What the API server refuses by the chart's policies and Pod Security levels: an API server without nodes (FILTER=)
	@$(NODE) e2e/main.ts admission $(FILTER)

console: setup ## The page of kubectl filerpair ui in headless Chromium, on a pair of this machine; its pictures in docs/pictures
	@$(NODE) e2e/main.ts console

alerts: setup ## When each alert fires and when not, by promtool (seconds)
	@$(NODE) e2e/main.ts alerts

recordings: setup ## Series of real runs for make alerts: a kind cluster, then a pair of this machine (WHICH=takeovers|servers), 30 minutes
	@$(NODE) e2e/main.ts recordings $(WHICH)

monitoring: setup ## Alerts and dashboards by a real Prometheus on a kind cluster: a takeover on request, a kill
	@$(NODE) e2e/main.ts monitoring

shares: setup ## A takeover and a start with 10 and with SHARES= (10,000) FilerShares, a real API server; writes out/shares.json (ROUNDS=)
	@SHARES=$(or $(SHARES),10000) ROUNDS=$(or $(ROUNDS),5) $(NODE) e2e/main.ts shares

scale: setup ## What the operator costs with PAIRS= pairs (1,000), on a real API server; writes out/scale.json (some 15 minutes)
	@$(NODE) e2e/main.ts scale $(PAIRS)

kind: setup ## A kind cluster with 2 workers, FilerPair installed by helm and an example pair
	@$(NODE) e2e/main.ts kind

kind-down: setup ## Remove that cluster
	@$(NODE) e2e/main.ts kind-down

images: setup ## Build the container images
	@$(NODE) e2e/main.ts images

bench: setup ## Measure beside nfs-ganesha; writes out/bench.json
	@$(NODE) bench/main.ts

bench-proxy: setup ## Measure the proxy beside a forwarder in C and a direct connection; writes out/proxy.json
	@$(NODE) bench/proxy/main.ts

bench-kernel-path: setup ## Measure the kernel's path beside a direct connection, in a network namespace (root); writes kernelPath of out/proxy.json
	@$(NODE) bench/kernel-path/main.ts

build: setup ## Bundle the programs and compile the npm package's modules into dist/ (images hold the bundles)
	@$(NODE) scripts/bundle.ts dist && tsc -p tsconfig.build.json

package: setup ## The client library as an npm package of its own, in out/
	@$(NODE) scripts/pack-client.ts

.PHONY: release release-compare release-check install-check upgrade-check publish
release: setup ## Everything that a release consists of, in out/release/ (REGISTRY= for the chart); docs/releasing.md
	@$(NODE) scripts/release/main.ts build --registry '$(REGISTRY)'

release-compare: setup ## Whether two builds of the release are the same, byte for byte
	@$(NODE) scripts/release/main.ts compare --registry '$(REGISTRY)'

release-check: setup ## Start what make release built: images and the executable, for this processor and for arm64 by an emulator
	@vitest run --config e2e/vitest.config.ts --project install images

publish: setup ## Push what make release built to REGISTRY=, and a chart that knows it
	@$(NODE) scripts/release/main.ts publish --registry '$(REGISTRY)'

docs: setup ## The docs as a site in out/site, without network (BASE=/v0.1.0/, SOURCE= where the repository can be read)
	@BASE=$(BASE) SOURCE=$(SOURCE) $(NODE) scripts/site/main.ts

generate: setup ## What is generated: CRD, references of the API and the command line, chart's values, pictures, lines of links in docs
	@$(NODE) crds/generate.ts && $(NODE) scripts/cli-reference.ts && $(NODE) scripts/pictures/main.ts && $(NODE) scripts/chart-values.ts && $(NODE) scripts/links/main.ts --mend

format: setup ## Format and fix what can be fixed
	@biome check --write .

clean: ## Remove what was built here (caches outside the repository stay)
	rm -rf dist out .cache node_modules
