# Ireko. `make help` says what there is.
#
# Variants live side by side: build/plain, build/asan (SAN=address,undefined), build/tsan
# (SAN=thread). `make` leaves the programs of the plain variant in build/bin.

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

VERSION := 0.1.0
SAN     ?=
ifeq ($(origin CC),default)
CC      := gcc
endif
PKG_CONFIG ?= pkg-config
# What is compiled for. It need not be where: CC, AR and PKG_CONFIG of another architecture cross-compile `all` and `units`.
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null || uname -m)))
PYTHON  ?= /usr/bin/python3
V       ?=
# Empty: faster to build, and nobody looks inside (an image's programs are stripped).
DEBUG   ?= -g
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)')

ifeq ($(SAN),)
VARIANT := plain
else ifeq ($(SAN),address,undefined)
VARIANT := asan
else ifeq ($(SAN),thread)
VARIANT := tsan
else
$(error SAN is empty, address,undefined or thread)
endif
OUT := build/$(VARIANT)

# ---- packages: everything that a build or a test needs comes from here, and only from here ----

BUILD_PACKAGES := gcc make pkg-config libc6-dev git ca-certificates libssl-dev libuv1-dev uthash-dev \
	libsqlite3-dev libmicrohttpd-dev libgnutls28-dev libjansson-dev libqrencode-dev libcurl4-openssl-dev \
	libmnl-dev libnftables-dev libseccomp-dev
# Intel's multi-buffer library is for its own architecture; elsewhere OpenSSL does everything.
ifeq ($(shell uname -m),x86_64)
BUILD_PACKAGES += libipsec-mb-dev
endif
RUN_PACKAGES   := jq qrencode iproute2 procps curl util-linux passwd
CHECK_PACKAGES := libcmocka-dev libcap2-bin e2fsprogs dpkg-dev systemd clang-format-19 clang libclang-rt-dev cppcheck shellcheck python3 python3-pytest python3-pytest-xdist \
	python3-requests python3-jsonschema python3-cryptography python3-prometheus-client wrk wireguard-go wireguard-tools openvpn iperf3 tshark tcpdump dnsmasq-base bind9-dnsutils \
	iputils-ping nftables mmdebstrap slirp4netns binutils zsh chromium iptables runc tini

# Of these the tests need the programs. Debian would start them as services of this machine, on ports of its own: they are
# installed as if it were not running, and what was not here before is not started at its next boot either.
CHECK_SERVICES := caddy prometheus

# What an image's build installs (docker/Dockerfile): the dashboard comes from a stage of its own.
IMAGE_PACKAGES := $(filter-out git nodejs npm,$(BUILD_PACKAGES)) libcmocka-dev libcap2-bin

# npm comes with some builds of nodejs, which then refuse Debian's package of it.
ifeq ($(shell command -v npm),)
BUILD_PACKAGES += nodejs npm
endif

# ---- compiling ----

WARN := -Wall -Wextra -Wformat=2 -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wimplicit-fallthrough \
	-Wpointer-arith -Wundef -Wwrite-strings -Werror
HARDEN := -fno-delete-null-pointer-checks -fno-strict-overflow -fno-strict-aliasing -fPIE
ifeq ($(SAN),)
# FORTIFY and zero-initialisation would hide from the sanitizers what they look for.
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero
# Only to where a jump is meant to go: Intel's CET, Arm's PAC and BTI.
ifeq ($(MACHINE),x86_64)
HARDEN += -fcf-protection=full
else ifeq ($(MACHINE),aarch64)
HARDEN += -mbranch-protection=standard
endif
OPT := -O2
else
HARDEN += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT := -O1
endif
LINK := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--as-needed $(if $(SAN),-fsanitize=$(SAN))

INCLUDES := -Idataplane -Icontrolplane -I.
CFLAGS += -std=gnu11 $(DEBUG) $(OPT) $(WARN) $(HARDEN) -D_GNU_SOURCE -DIREKO_VERSION='"$(VERSION)"' -pthread $(INCLUDES) -MMD -MP

pkg = $(shell $(PKG_CONFIG) --libs $(1) 2>/dev/null)
ifneq ($(and $(filter x86_64,$(MACHINE)),$(wildcard /usr/include/intel-ipsec-mb.h)),)
MB_LIBS   := -lIPSec_MB
NOT_BUILT := dataplane/crypto/aead_mb_none.c
else
NOT_BUILT := dataplane/crypto/aead_mb.c
endif
DATA_LIBS    = $(call pkg,libcrypto libmnl libnftables libseccomp) $(MB_LIBS)
CONTROL_LIBS = $(call pkg,libuv sqlite3 libmicrohttpd gnutls jansson libssl libcrypto libqrencode libseccomp)
CLI_LIBS     = $(call pkg,libcurl jansson libcrypto libqrencode)

DATA_SRC    := $(filter-out dataplane/main.c $(NOT_BUILT),$(wildcard dataplane/*.c dataplane/*/*.c))
CONTROL_SRC := $(filter-out controlplane/main.c,$(wildcard controlplane/*.c controlplane/*/*.c db/*.c api/*.c api/handlers/*.c api/openapi/*.c))
CLI_SRC     := $(wildcard api/cli/*.c)
UNIT_SRC    := $(wildcard tests/unit/*/*/test_*.c tests/unit/*/test_*.c tests/sim/test_*.c)
UNIT_AUX    := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c tests/sim/*.c))

obj = $(patsubst %.c,$(OUT)/obj/%.o,$(1))
PROGRAMS := $(addprefix $(OUT)/bin/,ireko-dataplane ireko-controlplane ireko)
UNITS    := $(patsubst %.c,$(OUT)/%,$(UNIT_SRC))

.PHONY: install uninstall deb openapi-linter browser web web-soak soak-mixed screenshots all programs units help deps check-deps up down check lint unit e2e fuzz clean format threaded-units unit-plain image-deps fuzz-targets bench bench-aead bench-fwd bench-programs
all: programs
ifeq ($(SAN),)
all: | build/bin
build/bin:
	$(Q)mkdir -p build && ln -sfn plain/bin build/bin
endif
programs: $(PROGRAMS)
units: $(UNITS)

$(OUT)/obj/%.o: %.c Makefile
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) -c $< -o $@

# SQL files and their order go into the program as text.
$(OUT)/gen/migrations.inc: $(wildcard db/migrations/*.sql) db/migrations/embed.sh
	$(call say,SQL,$@)
	$(Q)mkdir -p $(@D) && sh db/migrations/embed.sh db/migrations/*.sql > $@
$(OUT)/obj/db/%.o: CFLAGS += -I$(OUT)/gen
$(OUT)/obj/db/migrate.o: $(OUT)/gen/migrations.inc

# The dashboard goes into the control plane: its parts as npm's lock file names them, nothing that would run on installing,
# bundled, then printed as C (web/embed.mjs).
WEB_SRC := $(wildcard web/*.mjs web/tsconfig.json web/src/* web/src/*/* web/src/*/*/*)
web/node_modules/.package-lock.json: web/package.json web/package-lock.json $(wildcard web/.npmrc)
	$(call say,NPM,web)
	$(Q)command -v npm >/dev/null || { echo "web: npm is missing; \`make deps\` installs it" >&2; exit 1; }
	$(Q)mkdir -p build/web && cd web && npm ci --ignore-scripts >../build/web/npm.log 2>&1 || { tail ../build/web/npm.log >&2; \
		echo "web: npm could not install the dashboard's parts (web/package-lock.json); is its registry in reach?" >&2; exit 1; }
build/web/gen/web_files.inc: $(WEB_SRC) web/node_modules/.package-lock.json
	$(call say,WEB,$@)
	$(Q)rm -rf build/web/dist && mkdir -p $(@D) && cd web && node build.mjs >../build/web/build.log 2>&1 || { cat ../build/web/build.log >&2; exit 1; }
	$(Q)node web/embed.mjs build/web/dist > $@
$(OUT)/obj/api/dashboard.o: CFLAGS += -Ibuild/web/gen
$(OUT)/obj/api/dashboard.o: build/web/gen/web_files.inc

$(OUT)/libdata.a: $(call obj,$(DATA_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(OUT)/libcontrol.a: $(call obj,$(CONTROL_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(OUT)/bin/ireko-dataplane: $(call obj,dataplane/main.c) $(OUT)/libdata.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LINK) -pthread $^ $(DATA_LIBS) -o $@
$(OUT)/bin/ireko-controlplane: $(call obj,controlplane/main.c) $(OUT)/libcontrol.a $(OUT)/libdata.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LINK) -pthread $^ $(CONTROL_LIBS) -o $@
$(OUT)/libcli.a: $(call obj,$(filter-out api/cli/main.c,$(CLI_SRC)))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(OUT)/bin/ireko: $(call obj,api/cli/main.c) $(OUT)/libcli.a $(OUT)/libdata.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LINK) -pthread $^ $(CLI_LIBS) -o $@

# What the programs of the server share is only theirs: it stands in for the service.
SERVER_UNITS := $(filter $(OUT)/tests/unit/api/server/%,$(UNITS))
$(SERVER_UNITS): $(call obj,$(addprefix tests/unit/api/server/,client.c fake_service.c))
$(UNITS): $(OUT)/%: $(OUT)/obj/%.o $(call obj,$(UNIT_AUX)) $(OUT)/libcli.a $(OUT)/libcontrol.a $(OUT)/libdata.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LINK) -pthread $(filter %.o,$^) $(filter %.a,$^) $(CONTROL_LIBS) $(DATA_LIBS) $(CLI_LIBS) $(call pkg,cmocka) -lm -o $@

# What the benchmark runs beside stock programs.
BENCH     := $(addprefix $(OUT)/tests/bench/,saturate handshakes blast forward)
BENCH_AUX := $(addprefix tests/bench/,wg_peer.c lane.c outer.c entry.c) $(addprefix tests/sim/ovpn_,client.c data.c profile.c)
$(OUT)/obj/tests/bench/%.o: CFLAGS += -Itests/sim
$(BENCH): $(OUT)/%: $(OUT)/obj/%.o $(call obj,$(BENCH_AUX)) $(OUT)/libcontrol.a $(OUT)/libdata.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LINK) -pthread $^ $(CONTROL_LIBS) $(DATA_LIBS) -o $@
bench-programs: programs $(BENCH)

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)


# Programs whose threads share memory; they run under the thread sanitizer too.
THREADED_UNITS := $(SERVER_UNITS) $(filter %/test_threads %/test_coordinator %/test_channels %/test_farewell %/test_install %/test_worker %/test_tcp %/test_ctl_server %/test_punt \
	%/test_aead %/test_publish %/test_recorder %/test_devices %/test_users %/test_password %/test_throttle %/test_once %/test_invites %/test_db %/test_backup %/test_audit %/test_settings,$(UNITS))
threaded-units: $(THREADED_UNITS)

# Every unit test that needs no privilege, run beside what still compiles: what an image's build does (docker/Dockerfile).
# PRIVILEGED_UNITS need more than such a build has (CAP_NET_ADMIN, namespaces of their own); `make unit` runs them all.
PRIVILEGED_UNITS := $(filter %/test_isolate %/test_netconf_ns %/test_rules_ns %/test_tun %/test_steer,$(UNITS))
PLAIN_UNITS      := $(filter-out $(PRIVILEGED_UNITS),$(UNITS))
$(PLAIN_UNITS:%=%.passed): %.passed: %
	$(Q)$< >$@.log 2>&1 || { cat $@.log >&2; echo "FAILED $<" >&2; exit 1; }
	$(Q)mv $@.log $@
unit-plain: $(PLAIN_UNITS:%=%.passed)
	@echo "$(words $^) unit test programs passed; left to \`make unit\`: $(notdir $(PRIVILEGED_UNITS))"

# libFuzzer targets: clang builds everything once with coverage and sanitizers, each links it.
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_FLAGS := -std=gnu11 -g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
	-D_GNU_SOURCE -DIREKO_VERSION='"$(VERSION)"' -pthread $(INCLUDES) -Ibuild/plain/gen -Ibuild/web/gen -Wno-unknown-warning-option
FUZZ_OBJ := $(patsubst %.c,build/fuzz/obj/%.o,$(DATA_SRC) $(CONTROL_SRC) api/cli/sse.c api/cli/text.c)
build/fuzz/obj/%.o: %.c Makefile | build/plain/gen/migrations.inc build/web/gen/web_files.inc
	$(call say,FUZZCC,$<)
	$(Q)mkdir -p $(@D) && clang $(FUZZ_FLAGS) -MMD -MP -c $< -o $@
build/fuzz/liball.a: $(FUZZ_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
build/fuzz/fuzz_%: tests/fuzz/fuzz_%.c build/fuzz/liball.a $(wildcard tests/fuzz/*.h)
	$(call say,FUZZ,$@)
	$(Q)clang $(subst fuzzer-no-link,fuzzer,$(FUZZ_FLAGS)) $< build/fuzz/liball.a $(CONTROL_LIBS) $(DATA_LIBS) -o $@
fuzz-targets: $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ_SRC))

# The linter of the OpenAPI document: what its lock file names, and nothing that would run on installing.
LINTER := package.json package-lock.json .npmrc spectral.yaml
build/openapi/node_modules/.package-lock.json: $(addprefix tests/openapi/,$(LINTER))
	$(call say,NPM,tests/openapi)
	$(Q)mkdir -p build/openapi && cp $^ build/openapi && cd build/openapi && npm ci --ignore-scripts >npm.log 2>&1 || { tail npm.log; exit 1; }
openapi-linter: build/openapi/node_modules/.package-lock.json

# What drives and judges the dashboard in a browser (Debian's), the same way.
build/browser/node_modules/.package-lock.json: $(addprefix tests/web/,package.json package-lock.json .npmrc)
	$(call say,NPM,tests/web)
	$(Q)mkdir -p build/browser && cp $^ build/browser && cd build/browser && npm ci --ignore-scripts >npm.log 2>&1 || { tail npm.log; exit 1; }
browser: build/browser/node_modules/.package-lock.json

# ---- what people call ----

missing = $(shell for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done)
apt = DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq

define install_packages
	$(Q)want="$(call missing,$(1))"; [ -z "$$want" ] || { \
		echo "installing: $$want"; mkdir -p build; \
		{ $(apt) update && $(2) $(apt) install -y --no-install-recommends $$want; } >build/apt.log 2>&1 || { grep '^W' build/apt.log; tail build/apt.log; exit 1; }; }
endef

deps: ## install what a build needs, and the service's users
	$(call install_packages,$(BUILD_PACKAGES) $(RUN_PACKAGES))
	$(Q)sh docker/host.sh users
check-deps: deps ## install what the tests need as well
	$(call install_packages,$(CHECK_PACKAGES))
	$(call install_packages,$(CHECK_SERVICES),SYSTEMD_OFFLINE=1)
	$(Q)for s in $(call missing,$(CHECK_SERVICES)); do systemctl disable $$s >>build/apt.log 2>&1 || exit 1; done

up: deps ## build, start the service on this machine, print how to go on
	$(Q)$(MAKE) $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc)) all
	$(Q)sh docker/host.sh up
down: ## end it and remove what it set (the data stays)
	$(Q)sh docker/host.sh down

image-deps:
	$(call install_packages,$(IMAGE_PACKAGES))

# Where things go; DESTDIR before all of it, for packages.
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
SBINDIR     = $(PREFIX)/sbin
BINDIR      = $(PREFIX)/bin
LIBDIR      = $(PREFIX)/lib
DOCDIR      = $(PREFIX)/share/doc/ireko
BASHDIR     = $(PREFIX)/share/bash-completion/completions
ZSHDIR      = $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
UNITS_OF    = ireko-dataplane.service ireko-controlplane.service
INSTALLED   = $(SBINDIR)/ireko-dataplane $(SBINDIR)/ireko-controlplane $(BINDIR)/ireko $(BASHDIR)/ireko $(ZSHDIR)/_ireko \
	$(addprefix $(LIBDIR)/systemd/system/,$(UNITS_OF)) $(LIBDIR)/sysusers.d/ireko.conf $(LIBDIR)/tmpfiles.d/ireko.conf
EXAMPLES    = $(patsubst docker/%,%,$(wildcard docker/prometheus/*.yml docker/grafana/*.json docker/grafana/provisioning/*/*.yml))
# mode, from, to
put = install -D -m $(1) $(2) $(DESTDIR)$(3)

install: all ## programs, systemd units, completions into DESTDIR and PREFIX (/usr/local); see docker/systemd
	$(Q)$(call put,0755 $(STRIP),$(OUT)/bin/ireko-dataplane,$(SBINDIR)/ireko-dataplane)
	$(Q)$(call put,0755 $(STRIP),$(OUT)/bin/ireko-controlplane,$(SBINDIR)/ireko-controlplane)
	$(Q)$(call put,0755 $(STRIP),$(OUT)/bin/ireko,$(BINDIR)/ireko)
	$(Q)mkdir -p build/install && for shell in bash zsh; do $(OUT)/bin/ireko completion $$shell > build/install/$$shell || exit 1; done
	$(Q)$(call put,0644,build/install/bash,$(BASHDIR)/ireko)
	$(Q)$(call put,0644,build/install/zsh,$(ZSHDIR)/_ireko)
	$(Q)for unit in $(UNITS_OF); do sed -e 's|/usr/sbin/|$(SBINDIR)/|' -e 's|/usr/share/doc/|$(PREFIX)/share/doc/|' -e 's|=-/etc/|=-$(SYSCONFDIR)/|' \
		docker/systemd/$$unit > build/install/$$unit && $(call put,0644,build/install/$$unit,$(LIBDIR)/systemd/system/$$unit) || exit 1; done
	$(Q)$(call put,0644,docker/systemd/ireko.sysusers,$(LIBDIR)/sysusers.d/ireko.conf)
	$(Q)$(call put,0644,docker/systemd/ireko.tmpfiles,$(LIBDIR)/tmpfiles.d/ireko.conf)
	$(Q)[ -e $(DESTDIR)$(SYSCONFDIR)/ireko/ireko.env ] || $(call put,0640,docker/systemd/ireko.env,$(SYSCONFDIR)/ireko/ireko.env)
	$(Q)$(call put,0644,README.md,$(DOCDIR)/README.md)
	$(Q)$(call put,0644,LICENSE,$(DOCDIR)/LICENSE)
	$(Q)for f in $(EXAMPLES); do $(call put,0644,docker/$$f,$(DOCDIR)/examples/$$f) || exit 1; done
uninstall: ## remove what install put there (settings, data and users stay)
	$(Q)rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	$(Q)rm -rf $(DESTDIR)$(DOCDIR)
deb: deps ## a Debian package of it, in build/deb
	$(call install_packages,dpkg-dev)
	$(Q)$(MAKE) all
	$(Q)rm -rf build/deb && mkdir -p build/deb
	$(Q)$(MAKE) install DESTDIR=build/deb/tree PREFIX=/usr SYSCONFDIR=/etc STRIP=-s
	$(Q)mv build/deb/tree/usr/share/doc/ireko/LICENSE build/deb/tree/usr/share/doc/ireko/copyright
	$(Q)sh docker/deb/build.sh build/deb/tree $(VERSION) build/deb/ireko_$(VERSION)_$$(dpkg --print-architecture).deb
	$(Q)ls build/deb/*.deb

check: check-deps ## run all tests; ends with "N passed, N failed"
	$(Q)$(PYTHON) tests/run.py
lint: check-deps ## only the house rules
	$(Q)$(PYTHON) tests/run.py lint
unit: check-deps ## only the unit tests, plain and under sanitizers
	$(Q)$(PYTHON) tests/run.py unit
e2e: check-deps ## only the end-to-end tests with real clients
	$(Q)$(PYTHON) tests/run.py e2e
# Measurements; what a figure means stands in tests/bench/README.md.
$(OUT)/tests/bench/aead: $(call obj,tests/bench/aead.c) $(OUT)/libdata.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(LINK) -pthread $^ $(call pkg,libcrypto) $(MB_LIBS) -o $@
bench-aead: $(OUT)/tests/bench/aead ## nanoseconds per packet of every cipher and library
	$(Q)$< $(ROUNDS)
web: check-deps ## only the dashboard's tests, in a browser
	$(Q)$(PYTHON) tests/run.py web
web-soak: check-deps ## the dashboard's memory over SOAK_SECONDS (600) seconds of events
	$(Q)$(MAKE) all browser
	$(Q)SOAK_SECONDS=$${SOAK_SECONDS:-600} $(PYTHON) -m pytest -q tests/web/test_memory.py
soak-mixed: check-deps ## packets of every kind and size through real tunnels for SOAK_SECONDS (600) seconds
	$(Q)$(MAKE) all
	$(Q)SOAK_SECONDS=$${SOAK_SECONDS:-600} $(PYTHON) -m pytest -q tests/e2e/soak_mixed.py
screenshots: check-deps ## the dashboard's pages into build/screenshots; README's into web/screenshots
	$(Q)$(MAKE) all browser
	$(Q)$(PYTHON) -m pytest -q tests/web/test_looks.py
	$(Q)mkdir -p web/screenshots && for s in overview-1440-light devices-1440-dark device-390-light; do cp build/screenshots/$$s.png web/screenshots; done
fuzz: check-deps ## every fuzz target for FUZZ_SECONDS (600) seconds
	$(Q)FUZZ_SECONDS=$${FUZZ_SECONDS:-600} $(PYTHON) tests/run.py fuzz
bench: check-deps bench-programs ## measure beside wireguard-go and openvpn; ROUNDS=5, QUICK=1 (see tests/bench)
	$(Q)$(PYTHON) tests/bench/bench.py
bench-fwd: check-deps bench-programs ## nanoseconds per stage of a packet's way through the process
	$(Q)$(PYTHON) tests/bench/bench.py forward
format: ## let clang-format put every C file right
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format-19 -i
clean: ## remove everything that was built
	$(Q)rm -rf build web/node_modules
help: ## this
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 22
