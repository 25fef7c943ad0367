/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/port-io.h"

port_io_rx_func *port_io_rx;
port_io_tx_func *port_io_tx;
static const char *variant;

/* Picks the variants.  Must be called before the first packet, by one
 * thread. */
void
port_io_init(void)
{
    port_io_rx = port_io_rx_generic;
    port_io_tx = port_io_tx_generic;
    variant = "generic";
#if __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("bmi2")) {
        port_io_rx = port_io_rx_avx512;
        port_io_tx = port_io_tx_avx512;
        variant = "avx512";
    }
#endif
}

/* Returns the name of the variant in use, for status. */
const char *
port_io_variant(void)
{
    return variant;
}
