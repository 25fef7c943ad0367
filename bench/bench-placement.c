/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints how two CPUs are placed at the moment:
 *
 *     bench-placement CPU SWITCH_CPU
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/placement.h"

int
main(int argc, char *argv[])
{
    double ns = argc == 3
                    ? bench_line_round_trip_ns(atoi(argv[1]), atoi(argv[2]))
                    : 0;

    if (ns <= 0) {
        fprintf(stderr, "usage: bench-placement CPU SWITCH_CPU\n");
        return EXIT_FAILURE;
    }
    printf("bench line_ns=%.0f placement=%s\n", ns, bench_placement(ns));
    return EXIT_SUCCESS;
}
