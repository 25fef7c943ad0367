# SPDX-License-Identifier: Apache-2.0
#
# Benchmarks; see bench/README.md.

BENCHES = bench-ring bench-switch bench-wake idle-guests
$(BENCHES:%=$(B)/bench/%): $(B)/bench/%: $(B)/obj/bench/%.o \
    $(B)/obj/bench/placement.o $(B)/lib/libdomsfront.a
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread

bench-programs: $(BENCHES:%=$(B)/bench/%)

# How often each size is measured.
RUNS = 5
bench-ring: bench-programs
	@$(B)/bench/bench-ring -n $(RUNS)
bench-switch: deps
	@$(MAKE) --no-print-directory all debian-ovs bench-programs
	@bench/run-switch $(abspath $(BUILD)) $(RUNS)

# How often bench-xen measures each network.
ROUNDS = 3
bench-xen-deps: lab-deps
	@mk/install-packages.sh mk/packages-bench-xen.txt
bench-xen: bench-xen-deps
	@$(MAKE) --no-print-directory all module
	@$(MAKE) --no-print-directory lab-images
	@DOMS_BUILD=$(abspath $(BUILD)) bench/xen/run-xen --rounds $(ROUNDS)

.PHONY: bench-programs bench-ring bench-switch bench-xen bench-xen-deps
