# SPDX-License-Identifier: Apache-2.0
#
# doms_front.ko, the guest's kernel module, built in $(BUILD)/kernel:
#
#   make module           builds it against KDIR
#   make module-check     the same with sparse, and a check of its style
#   make install-module   installs its source for dkms, and its manual page;
#                         DESTDIR as usual
#
# The folder in which it is built has the same layout as /usr/src/doms-VERSION
# of dkms.

KERNEL = $(BUILD)/kernel
KERNEL_SRC = $(wildcard guestfront/linux/*.[ch]) guestfront/linux/Kbuild
KERNEL_COMMON = $(addprefix common/,abi.h channel.h os.h ring.h xenbus.h)
dkmsdir = /usr/src/doms-$(VERSION)

# The kernel to build for; by default that of installed headers, or else of
# headers that are downloaded.
KDIR = $(shell mk/kernel-headers.sh $(BUILD))

# Without BTF, for which the kernel's own image would be needed.
define kernel_make
	kdir=$(KDIR); [ -n "$$kdir" ] || exit 1; \
	    $(MAKE) -s --no-print-directory -C "$$kdir" \
	    M=$(abspath $(1)) DOMS_VERSION=$(VERSION) W=1 KCFLAGS=-Werror \
	    CONFIG_DEBUG_INFO_BTF_MODULES= modules
endef

# Lays the sources out in folder $(1).
define kernel_lay_out
	mkdir -p $(1)/common
	cp -p $(KERNEL_SRC) $(1)
	cp -p $(KERNEL_COMMON) $(1)/common
endef

module: $(KERNEL)/doms_front.ko
$(KERNEL)/doms_front.ko: $(KERNEL_SRC) $(KERNEL_COMMON) mk/kernel.mk
	@echo "  MODULE  $@"
	@$(call kernel_lay_out,$(KERNEL))
	@$(call kernel_make,$(KERNEL))
	@strip --strip-debug $@

module-check:
	@mk/kernel-style.sh $(KERNEL_SRC)
	@rm -rf $(BUILD)/kernel-check
	@$(call kernel_lay_out,$(BUILD)/kernel-check)
	@if command -v sparse >/dev/null; then \
	    $(call kernel_make,$(BUILD)/kernel-check) C=2 CF=-Wsparse-error; \
	else \
	    echo "module-check: sparse is not installed: skipped" >&2; \
	    $(call kernel_make,$(BUILD)/kernel-check); \
	fi

install-module:
	install -d $(DESTDIR)$(dkmsdir)/common $(DESTDIR)$(mandir)/man4
	install -m 644 $(KERNEL_SRC) $(DESTDIR)$(dkmsdir)
	install -m 644 $(KERNEL_COMMON) $(DESTDIR)$(dkmsdir)/common
	sed 's|@VERSION@|$(VERSION)|g' guestfront/linux/dkms.conf.in \
	    >$(DESTDIR)$(dkmsdir)/dkms.conf
	install -m 644 docs/man/doms_front.4 $(DESTDIR)$(mandir)/man4

.PHONY: module module-check install-module
