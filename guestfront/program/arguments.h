/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program is started with: checked, or refused with one line that names
 * what is wrong and what is right.
 *
 * Thread-safety: for the main thread, before there are others.
 */

#ifndef DOMS_PROGRAM_ARGUMENTS_H
#define DOMS_PROGRAM_ARGUMENTS_H 1

#include <stdbool.h>
#include <stdint.h>

/* Prints one line on stderr, prefixed with the program's name, and ends the
 * program with EXIT_FAILURE. */
void arguments_die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* Returns 's', which the user gave for 'what', as a number from 'min' to
 * 'max'.  With 'suffix', it may end with K or M.  Ends the program if it is
 * not that. */
unsigned int arguments_number(const char *what, const char *s,
                              unsigned long min, unsigned long max,
                              bool suffix);

/* Stores 's', which the user gave for 'what', in 'mac'.  Ends the program if it
 * is not the address of one interface. */
void arguments_mac(const char *what, const char *s, uint8_t mac[6]);

#endif /* arguments.h */
