/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A main() for a fuzz target without libFuzzer, for compilers that have none:
 * runs LLVMFuzzerTestOneInput() on each file named on the command line, and
 * says how many there were.
 *
 * Thread-safety: is the program's only thread.
 */

#ifndef TESTS_FUZZ_FUZZ_MAIN_H
#define TESTS_FUZZ_FUZZ_MAIN_H 1

#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char *argv[])
{
    static uint8_t buf[1 << 20];

    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        uint8_t *data;
        size_t n;

        if (!file) {
            perror(argv[i]);
            return 1;
        }
        n = fread(buf, 1, sizeof buf, file);
        fclose(file);
        /* As long as the input, so that a sanitizer sees reads beyond it. */
        data = malloc(n ? n : 1);
        if (!data) {
            perror("malloc");
            return 1;
        }
        memcpy(data, buf, n);
        LLVMFuzzerTestOneInput(data, n);
        free(data);
    }
    printf("%s: %d inputs, ok\n", argv[0], argc - 1);
    return 0;
}

#endif /* tests/fuzz/fuzz-main.h */
