# SPDX-License-Identifier: Apache-2.0
#
# Benchmarks; see bench/README.md.

BENCHES = bench-ring bench-switch bench-placement bench-wake guest-packet \
    idle-guests request-response
GENERATOR_OBJS = $(addprefix $(B)/obj/bench/,generator.o traffic.o placement.o)
$(BENCHES:%=$(B)/bench/%): $(B)/bench/%: $(B)/obj/bench/%.o \
    $(GENERATOR_OBJS) $(B)/lib/libdomsfront.a
	@$(link_bench) -lpthread
define link_bench
	mkdir -p $(@D)
	echo "  LINK    $@"
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
endef

# Needs DPDK, which only the benchmark of peers has a use for.
DPDK_LIBS = -lrte_eal -lrte_ethdev -lrte_mbuf -lrte_mempool
$(B)/obj/bench/guest-dpdk.o: CPPFLAGS += $(DPDK_CFLAGS) -mssse3
$(B)/bench/guest-dpdk: $(B)/obj/bench/guest-dpdk.o $(GENERATOR_OBJS)
	@$(link_bench) $(DPDK_LIBS) -lpthread

bench-programs: $(BENCHES:%=$(B)/bench/%)

# How often each size is measured.
RUNS = 5
bench-ring: bench-programs
	@$(B)/bench/bench-ring -n $(RUNS)
bench-switch: deps
	@$(MAKE) --no-print-directory all debian-ovs bench-programs
	@bench/run-switch $(abspath $(BUILD)) $(RUNS)

# What idle guests cost, and how late the first frame after silence is.
bench-idle: deps
	@$(MAKE) --no-print-directory all debian-ovs bench-programs
	@bench/run-idle $(abspath $(BUILD)) all $(or $(ROUNDS),5)

# DomS beside its peers; bench/README.md tells how to choose among them.
CASES =
SIZES =
PEERS =
bench-deps: deps
	@mk/install-packages.sh mk/packages-bench.txt
	@mk/unpack-debian-ovs.sh $(BUILD) dpdk
bench: bench-deps
	@$(MAKE) --no-print-directory all debian-ovs peer-programs
	@bench/run --build $(abspath $(BUILD)) --rounds $(or $(ROUNDS),5) \
	    --cases '$(CASES)' --sizes '$(SIZES)' --peers '$(PEERS)'
peer-programs: bench-programs $(B)/bench/guest-dpdk

# How often 'bench' and 'bench-xen' measure; 5 and 3 times if not said.
ROUNDS =
bench-xen-deps: lab-deps
	@mk/install-packages.sh mk/packages-bench-xen.txt
bench-xen: bench-xen-deps
	@$(MAKE) --no-print-directory all module
	@$(MAKE) --no-print-directory lab-images
	@DOMS_BUILD=$(abspath $(BUILD)) bench/xen/run-xen --rounds $(or $(ROUNDS),3)

.PHONY: bench bench-deps peer-programs bench-programs bench-ring bench-switch bench-idle bench-xen bench-xen-deps
