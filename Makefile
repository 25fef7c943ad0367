# SPDX-License-Identifier: Apache-2.0
#
# DomS.  The words that users need:
#
#   make demo         builds, and shows two guests talking through the switch
#   make check        builds, and runs every test
#   make              builds
#   make install      installs; DESTDIR and prefix as usual
#
# See CONTRIBUTING.md for the rest.  'deps', 'demo', the checks that make
# network namespaces, and 'install' into system folders need root.

VERSION = 0.1.0

prefix = /usr/local
bindir = $(prefix)/bin
sbindir = $(prefix)/sbin
libdir = $(prefix)/lib
includedir = $(prefix)/include
mandir = $(prefix)/share/man
datadir = $(prefix)/share/doms
completionsdir = $(prefix)/share/bash-completion/completions
pkgconfigdir = $(libdir)/pkgconfig
unitdir = $(libdir)/systemd/system

# 'release' or 'asan' (address and undefined behaviour sanitizers).
VARIANT = release

BUILD = build
# Always by its full name: what one make found out of an object's headers, the
# next one looks for under the same.
override BUILD := $(abspath $(BUILD))
B = $(BUILD)/$(VARIANT)
OVS = $(BUILD)/ovs/$(VARIANT)
OVS_STAMP = $(OVS)/.built

CC = gcc
OPT_release = -O3
OPT_asan = -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS = -g $(OPT_$(VARIANT)) -fno-omit-frame-pointer
WARNINGS = -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes \
           -Wmissing-prototypes -Wold-style-definition -Wvla -Wformat=2 \
           -Wno-format-nonliteral
OUR_CFLAGS = -std=gnu11 $(WARNINGS) -fno-strict-aliasing -fPIC -I. -MMD -MP \
             -DDOMS_PACKAGE_VERSION='"$(VERSION)"' $(CFLAGS)

OVS_SRC = $(OVS)/openvswitch
OVS_OBJ = $(OVS)/obj
OVS_CPPFLAGS = -DHAVE_CONFIG_H \
    $(patsubst %,-isystem %,$(OVS_OBJ) $(OVS_SRC) $(OVS_SRC)/include \
        $(OVS_OBJ)/include $(OVS_SRC)/lib $(OVS_OBJ)/lib $(OVS_SRC)/vswitchd)
# As in mk/build-ovs.sh.
ifeq ($(shell uname -m),x86_64)
OVS_ISA = -msse4.2 -mpopcnt
endif
OVS_LIB = $(OVS_OBJ)/lib/.libs
OVS_SWITCH_LIBS = $(OVS_OBJ)/vswitchd/bridge.o \
    $(OVS_OBJ)/vswitchd/system-stats.o \
    $(OVS_OBJ)/ofproto/.libs/libofproto.a $(OVS_LIB)/libsflow.a
OVS_BASE_LIBS = $(OVS_LIB)/libopenvswitch.a $(OVS_LIB)/libopenvswitchavx512.a \
    -lssl -lcrypto -lunbound -lcap-ng -latomic -lm -lpthread

XEN_LIBS = -lxenstore -lxengnttab -lxenevtchn
NUMA_LIBS = -lnuma
# Dom0's programs ask the hypervisor too.
DOM0_LIBS = $(XEN_LIBS) -lxenctrl -lxentoollog

PROGRAMS = domsd doms-ctl doms-watchdog doms-tap doms-setter
LIBRARIES = libdomsfront.a libdomsfront.so

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:

all: programs libraries

include mk/tests.mk
include mk/bench.mk
include mk/kernel.mk
include mk/lab.mk

programs: $(PROGRAMS:%=$(B)/bin/%)
libraries: $(LIBRARIES:%=$(B)/lib/%)

# Packages.  Without root, says what is missing.
deps:
	@mk/install-packages.sh mk/packages.txt

# Open vSwitch.
$(OVS_STAMP): mk/build-ovs.sh
	@mk/build-ovs.sh $(BUILD) $(VARIANT)

# Objects.  doms/ and tools/ are written against OVS's own library; common/ and
# guestfront/ must not be.
# OVS mixes signed and unsigned, and so must who calls it.
$(B)/obj/doms/%.o: CPPFLAGS += $(OVS_CPPFLAGS) -Wno-sign-compare
$(B)/obj/tools/%.o: CPPFLAGS += $(OVS_CPPFLAGS) -Wno-sign-compare
$(B)/obj/config/%.o: CPPFLAGS += $(OVS_CPPFLAGS) -Wno-sign-compare
$(B)/obj/doms/%.o: doms/%.c | $(OVS_STAMP)
	@$(compile)
$(B)/obj/tools/%.o: tools/%.c | $(OVS_STAMP)
	@$(compile)
$(B)/obj/config/%.o: config/%.c | $(OVS_STAMP)
	@$(compile)
$(B)/obj/%.o: %.c
	@$(compile)
define compile
	mkdir -p $(@D)
	echo "  CC      $<"
	$(CC) $(OUR_CFLAGS) $(CPPFLAGS) -c -o $@ $<
endef

# Upstream's main() becomes a function that domsd's main() calls, so that none
# of it is copied.
$(B)/obj/ovs-vswitchd.o: $(OVS_STAMP) Makefile
	@mkdir -p $(@D)
	@echo "  CC      ovs-vswitchd.c (Open vSwitch)"
	@$(CC) $(OVS_CPPFLAGS) $(CFLAGS) -fno-strict-aliasing \
	    -Dmain=ovs_vswitchd_main -Dbridge_init=doms_bridge_init \
	    -c -o $@ $(OVS_SRC)/vswitchd/ovs-vswitchd.c

# What a packet goes through in a polling thread is compiled and linked as a
# whole (-flto), which is worth a twentieth of the packets.
OVS_HOT = cmap dp-packet dpif-netdev dpif-netdev-perf flow netdev odp-execute
OVS_HOT_OBJS = $(OVS_HOT:%=$(B)/obj/ovs-%.o)
LTO_release = -flto=auto
LTO = $(LTO_$(VARIANT))
# The calls of its polling threads that come to doms/pmd.h.
$(B)/obj/ovs-dpif-netdev.o: OVS_RENAMES = \
    -Ddp_netdev_input=ovs_dp_netdev_input \
    -Dovsthread_setspecific=doms_pmd_setspecific \
    -Dxrealloc=doms_pmd_xrealloc \
    -Dxnanosleep_no_quiesce=doms_pmd_sleep \
    -Dcoverage_try_clear=doms_pmd_coverage_try_clear \
    -Dnetdev_get_change_seq=doms_pmd_get_change_seq \
    -Dseq_change=doms_pmd_seq_change
$(OVS_HOT_OBJS): $(B)/obj/ovs-%.o: $(OVS_STAMP) Makefile
	@mkdir -p $(@D)
	@echo "  CC      $*.c (Open vSwitch)"
	@$(CC) $(OVS_CPPFLAGS) $(OVS_ISA) $(CFLAGS) $(LTO) $(OVS_RENAMES) \
	    -fno-strict-aliasing -w -c -o $@ $(OVS_SRC)/lib/$*.c

# The seed of UUIDs needs no more than one SHA-1, which Open vSwitch has too; to
# start OpenSSL for it costs as much as a fifth of domsd's own start.
$(B)/obj/ovs-uuid.o: $(OVS_STAMP) Makefile
	@mkdir -p $(@D)
	@echo "  CC      uuid.c (Open vSwitch)"
	@$(CC) $(OVS_CPPFLAGS) $(CFLAGS) -fno-strict-aliasing \
	    $(foreach f,init update final,-Dsha1_$(f)=ovs_sha1_$(f)) \
	    -c -o $@ $(OVS_SRC)/lib/uuid.c

# The fast path, once for each instruction set; domsd picks one when it starts.
BURST_OBJS = $(B)/obj/doms/port-io-burst.generic.o
ifeq ($(shell uname -m),x86_64)
BURST_OBJS += $(B)/obj/doms/port-io-burst.avx512.o
$(B)/obj/doms/port-io-burst.avx512.o: \
    CPPFLAGS += -mavx512f -mavx512bw -mavx512vl -mbmi2
endif
$(BURST_OBJS) $(addprefix $(B)/obj/doms/,netdev-doms.o packet-pool.o \
    policer.o): CPPFLAGS += $(LTO)
$(B)/obj/doms/port-io-burst.%.o: CPPFLAGS += -DPORT_IO_RX=port_io_rx_$* \
    -DPORT_IO_TX=port_io_tx_$*
$(B)/obj/doms/port-io-burst.%.o: doms/port-io-burst.c | $(OVS_STAMP)
	@$(compile)

comma = ,
objects = $(patsubst %.c,$(B)/obj/%.o,$(wildcard $(1)))
COMMON_OBJS = $(call objects,common/*.c)
DOMSD_OBJS = $(filter-out %/port-io-burst.o,$(call objects,doms/*.c)) \
    $(BURST_OBJS)
CONFIG_OBJS = $(call objects,config/*.c)
DOM0_OBJS = $(call objects,tools/xen-*.c)
CTL_OBJS = $(call objects,tools/ctl-*.c tools/doms-ctl.c) $(DOM0_OBJS)
WATCHDOG_OBJS = $(call objects,tools/doms-watchdog*.c) $(DOM0_OBJS) \
    $(B)/obj/config/port-request.o
PROGRAM_OBJS = $(call objects,guestfront/program/*.c)
TAP_OBJS = $(call objects,guestfront/tap/*.c) $(PROGRAM_OBJS)
SETTER_OBJS = $(call objects,guestfront/setter/*.c) $(PROGRAM_OBJS)
FRONT_OBJS = $(call objects,guestfront/lib/*.c)

# Calls of Open vSwitch's that come to doms/startup.c and doms/pmd.c.
DOMSD_LDFLAGS = $(LTO) $(addprefix -Wl$(comma)--wrap=,dns_resolve_init \
    dns_resolve pmd_perf_estimate_tsc_frequency dfc_cache_init \
    dp_netdev_input_outer_avx512 dpif_set_config)
DOMSD_PARTS = $(DOMSD_OBJS) $(CONFIG_OBJS) $(COMMON_OBJS) \
    $(B)/obj/ovs-vswitchd.o $(B)/obj/ovs-uuid.o $(OVS_HOT_OBJS)
DOMSD_LIBS = $(OVS_SWITCH_LIBS) $(XEN_LIBS) $(NUMA_LIBS) $(OVS_BASE_LIBS)
# The second is for tests only; mk/tests.mk tells what is added to it.
$(B)/bin/domsd $(TESTS)/hostile/domsd: LDFLAGS += $(DOMSD_LDFLAGS)
$(B)/bin/domsd $(TESTS)/hostile/domsd: $(DOMSD_PARTS)
	@$(link) $(DOMSD_LIBS)
$(B)/bin/doms-ctl: $(CTL_OBJS) $(CONFIG_OBJS) $(COMMON_OBJS) | $(OVS_STAMP)
	@$(link) $(DOM0_LIBS) $(OVS_BASE_LIBS)
$(B)/bin/doms-watchdog: $(WATCHDOG_OBJS) $(COMMON_OBJS) | $(OVS_STAMP)
	@$(link) $(DOM0_LIBS) $(OVS_BASE_LIBS)
$(B)/bin/doms-tap: $(TAP_OBJS) $(B)/lib/libdomsfront.a
	@$(link) -lpthread
# Of the setter, these know of DPDK.
DPDK_CFLAGS = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libdpdk))
$(addprefix $(B)/obj/guestfront/setter/,vm.o vm-device.o vm-library.o): \
    CPPFLAGS += $(DPDK_CFLAGS)
# Buffers that the VM's CPU has read are fetched to be written to.
ifeq ($(shell uname -m),x86_64)
$(B)/obj/guestfront/setter/queue-to-vm.o: CPPFLAGS += -mprfchw
endif
$(B)/bin/doms-setter: $(SETTER_OBJS) $(B)/lib/libdomsfront.a
	@$(link) -lrte_vhost -lrte_eal -lseccomp -lpthread
define link
	mkdir -p $(@D)
	echo "  LINK    $@"
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^)
endef

$(B)/lib/libdomsfront.a: $(FRONT_OBJS) $(COMMON_OBJS)
	@mkdir -p $(@D)
	@echo "  AR      $@"
	@rm -f $@
	@ar rcs $@ $^
$(B)/lib/libdomsfront.so: $(FRONT_OBJS) $(COMMON_OBJS) guestfront/lib/libdomsfront.map
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libdomsfront.so.0 \
	    -Wl,--version-script=guestfront/lib/libdomsfront.map \
	    -o $@ $(filter %.o,$^)
demo: deps
	@$(MAKE) --no-print-directory all debian-ovs
	@tests/local/demo.sh $(abspath $(BUILD))

install: all
	install -d $(addprefix $(DESTDIR),$(bindir) $(sbindir) $(libdir) \
	    $(unitdir) \
	    $(pkgconfigdir) $(includedir)/doms $(completionsdir) $(datadir) \
	    $(mandir)/man1 $(mandir)/man3 $(mandir)/man8)
	install -m 755 $(B)/bin/domsd $(B)/bin/doms-watchdog \
	    $(DESTDIR)$(sbindir)
	install -m 755 $(B)/bin/doms-ctl $(B)/bin/doms-tap \
	    $(B)/bin/doms-setter tools/doms-local \
	    $(DESTDIR)$(bindir)
	install -m 644 $(B)/lib/libdomsfront.a $(DESTDIR)$(libdir)
	install -m 755 $(B)/lib/libdomsfront.so \
	    $(DESTDIR)$(libdir)/libdomsfront.so.$(VERSION)
	ln -sf libdomsfront.so.$(VERSION) $(DESTDIR)$(libdir)/libdomsfront.so.0
	ln -sf libdomsfront.so.0 $(DESTDIR)$(libdir)/libdomsfront.so
	sed -e 's|@prefix@|$(prefix)|; s|@libdir@|$(libdir)|' \
	    -e 's|@includedir@|$(includedir)|; s|@VERSION@|$(VERSION)|' \
	    guestfront/lib/libdomsfront.pc.in \
	    >$(DESTDIR)$(pkgconfigdir)/libdomsfront.pc
	install -m 644 guestfront/lib/domsfront.h $(DESTDIR)$(includedir)/doms
	install -m 644 $(OVS_SRC)/vswitchd/vswitch.ovsschema $(DESTDIR)$(datadir)
	install -m 644 tools/completion.bash $(DESTDIR)$(completionsdir)/doms-ctl
	sed 's|/usr/sbin/|$(sbindir)/|' xen-config/systemd/doms-watchdog.service \
	    >$(DESTDIR)$(unitdir)/doms-watchdog.service
	sed 's|/usr/bin/|$(bindir)/|' guestfront/setter/doms-setter.service \
	    >$(DESTDIR)$(unitdir)/doms-setter.service
	install -m 644 xen-config/doms.conf $(DESTDIR)$(datadir)/doms.conf
	for page in docs/man/*.[138]; do \
	    install -m 644 $$page $(DESTDIR)$(mandir)/man$${page##*.}/ || exit; \
	done

clean:
	rm -rf $(BUILD)/release $(BUILD)/asan $(BUILD)/tsan
distclean:
	rm -rf $(BUILD)

.PHONY: all programs libraries deps demo install clean distclean

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
