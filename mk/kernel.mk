# SPDX-License-Identifier: Apache-2.0
#
# doms_front.ko, the guest's kernel module, built in $(BUILD)/kernel:
#
#   make module           builds it against KDIR
#   make module-check     the same with all warnings, sparse and a style check
#   make install-module   installs its source for dkms; DESTDIR as usual
#
# The folder in which it is built has the same layout as /usr/src/doms-VERSION
# of dkms.

KERNEL = $(BUILD)/kernel
KERNEL_SRC = $(wildcard guestfront/linux/*.[ch]) guestfront/linux/Kbuild
KERNEL_COMMON = $(addprefix common/,abi.h channel.h os.h ring.h xenbus.h)
dkmsdir = /usr/src/doms-$(VERSION)

# The kernel to build for: installed headers, or else downloaded ones.
KDIR = $(shell mk/kernel-headers.sh $(BUILD))

module: $(KERNEL)/doms_front.ko
$(KERNEL)/doms_front.ko: $(KERNEL_SRC) $(KERNEL_COMMON) mk/kernel.mk
	@mkdir -p $(KERNEL)/common
	@cp -p $(KERNEL_SRC) $(KERNEL)
	@cp -p $(KERNEL_COMMON) $(KERNEL)/common
	@echo "  MODULE  $@"
	@$(kernel_make) modules
define kernel_make
	kdir=$(KDIR); [ -n "$$kdir" ] || exit 1; \
	    $(MAKE) -s --no-print-directory -C "$$kdir" \
	    M=$(abspath $(KERNEL)) DOMS_VERSION=$(VERSION) W=1 \
	    KCFLAGS=-Werror CONFIG_DEBUG_INFO_BTF_MODULES=
endef

module-check: $(KERNEL)/doms_front.ko
	@mk/kernel-style.sh $(KERNEL_SRC)
	@rm -f $(KERNEL)/*.o
	@$(kernel_make) C=2 CF=-Wsparse-error modules

install-module:
	install -d $(DESTDIR)$(dkmsdir)/common
	install -m 644 $(KERNEL_SRC) $(DESTDIR)$(dkmsdir)
	install -m 644 $(KERNEL_COMMON) $(DESTDIR)$(dkmsdir)/common
	sed 's|@VERSION@|$(VERSION)|' guestfront/linux/dkms.conf.in \
	    >$(DESTDIR)$(dkmsdir)/dkms.conf

.PHONY: module module-check install-module
