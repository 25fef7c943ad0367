# SPDX-License-Identifier: Apache-2.0
#
# The lab: a real Xen host inside QEMU; see tests/xen/README.md.

image-deps: deps
	@mk/install-packages.sh mk/packages-image.txt
vm-deps: image-deps
	@mk/install-packages.sh mk/packages-vm.txt
lab-deps: vm-deps
	@mk/install-packages.sh mk/packages-lab.txt
lab-images: lab-deps
	@$(MAKE) --no-print-directory programs module
	@tests/xen/build-lab.sh $(BUILD)
# Boots it once, says how long that took, and shuts it down.
lab: lab-images
	@DOMS_BUILD=$(abspath $(BUILD)) tests/xen/run boot
# All cases.
check-xen: lab-deps
	@tests/check $(BUILD) xen
# The image of DomS for a real host.
doms-image: image-deps
	@$(MAKE) --no-print-directory programs
	@xen-config/build-doms.sh --build $(BUILD)

.PHONY: lab image-deps vm-deps lab-deps lab-images check-xen doms-image
