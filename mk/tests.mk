# SPDX-License-Identifier: Apache-2.0
#
# Tests.  'make check' runs all; the others run one kind.

TESTS = $(B)/tests
UNIT_TESTS = $(patsubst tests/unit/test-%.c,$(TESTS)/test-%,\
    $(wildcard tests/unit/test-*.c)) $(TESTS)/ring-hostile
# Those that use Open vSwitch's library, as what they test does.
OVS_UNIT_TESTS = $(TESTS)/test-port-request $(TESTS)/test-offload \
    $(TESTS)/test-offload-segment $(TESTS)/test-policer \
    $(TESTS)/test-xen-conf $(TESTS)/test-xen-files $(TESTS)/test-xen-keys \
    $(TESTS)/test-watchdog-judge

VIRTQ = $(addprefix guestfront/setter/,virtq.c virtq-split.c virtq-packed.c \
    memory.c)

$(TESTS)/test-port-request: $(B)/obj/config/port-request.o
$(TESTS)/test-offload $(TESTS)/test-offload-segment: $(B)/obj/doms/offload.o
$(TESTS)/test-policer: $(B)/obj/doms/policer.o
$(TESTS)/test-netif-request: $(B)/obj/doms/netif-request.o
$(TESTS)/test-xen-conf $(TESTS)/test-xen-files $(TESTS)/test-xen-keys \
    $(TESTS)/test-watchdog-judge: $(B)/obj/config/port-request.o
$(TESTS)/test-xen-conf: $(B)/obj/tools/xen-conf.o
$(TESTS)/test-xen-files: $(B)/obj/tools/xen-files.o $(B)/obj/tools/xen-keys.o
$(TESTS)/test-xen-keys: $(B)/obj/tools/xen-keys.o
$(TESTS)/test-watchdog-judge: $(B)/obj/tools/xen-conf.o \
    $(B)/obj/tools/doms-watchdog-judge.o
$(TESTS)/test-traffic: $(B)/obj/bench/traffic.o
$(TESTS)/test-virtq: $(VIRTQ:%.c=$(B)/obj/%.o)
$(TESTS)/test-setter-queue: $(addprefix $(B)/obj/guestfront/setter/,queue.o \
    queue-from-vm.o queue-to-vm.o caller.o cut.o) $(VIRTQ:%.c=$(B)/obj/%.o) \
    $(B)/obj/guestfront/program/log.o
$(TESTS)/test-log: $(B)/obj/guestfront/program/log.o
$(TESTS)/test-caller: $(B)/obj/guestfront/setter/caller.o \
    $(B)/obj/guestfront/program/log.o
$(TESTS)/test-cut: $(B)/obj/guestfront/setter/cut.o
$(TESTS)/test-memory: $(B)/obj/guestfront/setter/memory.o
$(OVS_UNIT_TESTS): TEST_LIBS = $(OVS_BASE_LIBS)
$(OVS_UNIT_TESTS:$(TESTS)/%=$(B)/obj/tests/unit/%.o): \
    CPPFLAGS += $(OVS_CPPFLAGS) -Wno-sign-compare
$(OVS_UNIT_TESTS:$(TESTS)/%=$(B)/obj/tests/unit/%.o): | $(OVS_STAMP)
$(TESTS)/%: $(B)/obj/tests/unit/%.o $(B)/lib/libdomsfront.a
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	    $(TEST_LIBS) -lcmocka -lpthread

# Two threads on one ring, plain and under the thread sanitizer.  GCC warns that
# this one does not know fences; the doorbell's fence orders two words of which
# neither guards any data, so that it has no need to.
TSAN_FLAGS = -g -O1 -fsanitize=thread -Wno-tsan -fno-omit-frame-pointer
$(BUILD)/tsan/%: tests/unit/%.c $(wildcard common/*.[ch] tests/unit/*.h \
    guestfront/lib/*.[ch])
	@mkdir -p $(@D)
	@echo "  TSAN    $@"
	@$(CC) -std=gnu11 $(WARNINGS) $(TSAN_FLAGS) -I. -o $@ $< \
	    common/*.c guestfront/lib/*.c -lcmocka -lpthread
TSAN_TESTS = $(BUILD)/tsan/ring-stress $(BUILD)/tsan/test-domsfront-threads

# The guest of tests/local/cases/hostile-guest.sh.
$(TESTS)/hostile-guest: $(B)/obj/tests/local/hostile-guest.o \
    $(B)/lib/libdomsfront.a
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread

# Front ends of VMs, for the cases named setter-.
$(TESTS)/hostile-vhost $(TESTS)/vhost-echo: $(TESTS)/%: $(B)/obj/tests/local/%.o
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

# A switch that has turned hostile, and who looks at a process from outside, of
# the cases isolation-*.
SEARCH_OBJS = $(B)/obj/tests/local/memory-search.o
$(TESTS)/find-secret: $(B)/obj/tests/local/find-secret.o $(SEARCH_OBJS)
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
$(B)/obj/tests/local/hostile-switch.o: \
    CPPFLAGS += $(OVS_CPPFLAGS) -Wno-sign-compare
$(B)/obj/tests/local/hostile-switch.o: | $(OVS_STAMP)
$(TESTS)/hostile/domsd: $(SEARCH_OBJS) $(B)/obj/tests/local/hostile-switch.o
# What tests/local/cases/vm-*.sh boot.
vm-image: vm-deps
	@tests/local/vm/build-image.sh $(BUILD)

debian-ovs:
	@mk/unpack-debian-ovs.sh $(BUILD)
# The switch that maps its guests' memory, which a case compares with.
debian-ovs-dpdk:
	@mk/unpack-debian-ovs.sh $(BUILD) dpdk

test-programs: all debian-ovs debian-ovs-dpdk $(UNIT_TESTS) \
    $(TESTS)/ring-stress $(TESTS)/hostile-guest $(TESTS)/hostile-vhost \
    $(TESTS)/vhost-echo $(TESTS)/find-secret $(TESTS)/hostile/domsd
tsan-programs: $(TSAN_TESTS)

check: deps lab-deps
	@tests/check $(BUILD)
check-local: vm-deps
check-unit check-local check-ovs check-style: deps
	@tests/check $(BUILD) $(@:check-%=%)
# Everything that domsd can be compared with; takes long.
check-ovs-all: deps
	@tests/check $(BUILD) ovs-all

# clang-format and cppcheck, on our own code.
SOURCES = $(wildcard common/*.[ch] config/*.[ch] doms/*.[ch] \
    guestfront/lib/*.[ch] guestfront/tap/*.[ch] guestfront/program/*.[ch] \
    guestfront/setter/*.[ch] \
    guestfront/lib/examples/*.[ch] tools/*.[ch] tests/unit/*.[ch] tests/fuzz/*.[ch] \
    tests/local/*.[ch] tests/xen/*.[ch] bench/*.[ch])
check-format:
	@clang-format --dry-run -Werror $(SOURCES)
format:
	@clang-format -i $(SOURCES)
# cppcheck does not see Open vSwitch's headers.
CPPCHECK_OVS = '-DOVS_ALIGNED_VAR(X)=' '-DOVS_PRINTF_FORMAT(...)=' '-DOVS_REQUIRES(...)=' \
    -DOVS_GUARDED= '-DOVS_GUARDED_BY(...)=' -DOVS_UNUSED= -DOVS_NO_RETURN= \
    '-DVLOG_DEFINE_THIS_MODULE(X)=struct vlog_unused'
check-cppcheck:
	@cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 -j2 \
	    --enable=warning,performance,portability \
	    --suppressions-list=mk/cppcheck-suppressions.txt \
	    -D__x86_64__=1 $(CPPCHECK_OVS) -I. common config doms guestfront/lib \
	    guestfront/tap guestfront/program guestfront/setter tools bench

# libFuzzer on what a hostile peer sends; FUZZ_SECONDS for each target.
FUZZ_SECONDS = 60
FUZZERS = $(patsubst tests/fuzz/fuzz-%.c,$(BUILD)/fuzz/fuzz-%,\
    $(wildcard tests/fuzz/fuzz-*.c))
# What a target needs besides common/.
$(BUILD)/fuzz/fuzz-netif: FUZZED = doms/netif-request.c
$(BUILD)/fuzz/fuzz-netif: $(wildcard doms/netif-request.[ch])
$(BUILD)/fuzz/fuzz-vring: FUZZED = $(VIRTQ) guestfront/setter/cut.c
$(BUILD)/fuzz/fuzz-vring: $(wildcard guestfront/setter/*.[ch])
$(BUILD)/fuzz/fuzz-%: tests/fuzz/fuzz-%.c $(wildcard common/*.[ch])
	@mkdir -p $(@D)
	@echo "  FUZZ    $@"
	@clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=undefined -I. -o $@ $< common/*.c $(FUZZED)
FUZZ_RUNS = $(patsubst $(BUILD)/fuzz/%,run-%,$(FUZZERS))
fuzz: $(FUZZ_RUNS)
fuzz-seeds:
	@tests/fuzz/make-seeds.py $(BUILD)/fuzz/seeds
$(FUZZ_RUNS): run-%: $(BUILD)/fuzz/% fuzz-seeds
	@echo "  RUN     $*"
	@mkdir -p $(BUILD)/fuzz/$*.corpus
	@$< -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(BUILD)/fuzz/$*- \
	    $(BUILD)/fuzz/$*.corpus $(BUILD)/fuzz/seeds/$* tests/fuzz/corpus/$*
# Adds to tests/fuzz/corpus what reaches something new, of all that was found.
FUZZ_MERGES = $(FUZZ_RUNS:run-%=merge-%)
fuzz-merge: $(FUZZ_MERGES)
$(FUZZ_MERGES): merge-%: $(BUILD)/fuzz/% fuzz-seeds
	@mkdir -p tests/fuzz/corpus/$* $(BUILD)/fuzz/$*.corpus
	@$< -set_cover_merge=1 tests/fuzz/corpus/$* $(BUILD)/fuzz/seeds/$* \
	    $(BUILD)/fuzz/$*.corpus
fuzz-deps:
	@mk/install-packages.sh mk/packages-fuzz.txt
$(FUZZERS): | fuzz-deps

.PHONY: check check-unit check-local check-ovs check-ovs-all check-style \
    check-format check-cppcheck format fuzz fuzz-deps fuzz-seeds $(FUZZ_RUNS) \
    fuzz-merge $(FUZZ_MERGES) \
    test-programs tsan-programs \
    debian-ovs debian-ovs-dpdk vm-image
