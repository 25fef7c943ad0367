# SPDX-License-Identifier: Apache-2.0
#
# The lab: a real Xen host inside QEMU; see tests/xen/README.md.

lab-deps: deps
	@mk/install-packages.sh mk/packages-lab.txt
lab-images: lab-deps
	@tests/xen/build-lab.sh $(BUILD)
# Boots it once, says how long that took, and shuts it down.
lab: lab-images
	@DOMS_BUILD=$(abspath $(BUILD)) tests/xen/run boot

.PHONY: lab lab-deps lab-images
