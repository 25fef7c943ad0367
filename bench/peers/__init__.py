# SPDX-License-Identifier: Apache-2.0
"""What DomS is compared with, and how."""
