#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A check of the kernel's coding style, of what a program can see without
# understanding C: its own, since Debian's headers have no checkpatch.
#
# usage: mk/kernel-style.sh FILE...
#
# Prints FILE:LINE: what, and exits with 1, if there is anything.
set -eu

awk '
function complain(what) {
    printf "%s:%d: %s\n", FILENAME, FNR, what
    bad = 1
}
FNR == 1 {
    in_comment = 0
    if ($0 !~ /SPDX-License-Identifier: GPL-2.0/)
        complain("no SPDX line")
    if (FILENAME ~ /\.c$/ && $0 !~ /^\/\/ SPDX/)
        complain("the SPDX line of a .c file is a // comment")
    if (FILENAME ~ /\.h$/ && $0 !~ /^\/\* SPDX/)
        complain("the SPDX line of a .h file is a /* comment")
    blank = 1
    next
}
/[ \t]$/ { complain("space at the end of the line") }
/^ +[^ *]/ && FILENAME ~ /\.[ch]$/ { complain("indented by spaces") }
/ \t/ && FILENAME ~ /\.[ch]$/ { complain("a space before a tab") }
{
    line = $0
    width = 0
    for (i = 1; i <= length(line); i++)
        width = substr(line, i, 1) == "\t" ? width + 8 - width % 8 : width + 1
    # A text that is logged stays whole, so that it can be searched for.
    if (width > 80 && line !~ /"/)
        complain("longer than 80 columns")
}
FILENAME !~ /\.[ch]$/ { next }
/^\t*\/\/ / { complain("a // comment") }
/(^|[^a-z_])(if|for|while|switch)\(/ { complain("no space after a keyword") }
/^(static |extern )?[a-z].*\) \{$/ && !/^\t/ { complain("{ of a function belongs on a line of its own") }
/^\t+\{$/ && !/^\t\{$/ && prev !~ /[=\\]$/ { complain("{ on a line of its own") }
/^\t+\} *\n?else/ { }
/[^a-z_](sizeof) / { complain("sizeof without brackets") }
/\(\*?[a-z_]+ \* [a-z]/ { complain("* with spaces on both sides") }
/,[^ \t"\\'"'"')]/ && !/"[^"]*,[^"]*"/ && !/^ *\*/ && !/#define/ { complain("no space after a comma") }
/^$/ { if (blank) complain("two empty lines"); blank = 1 }
!/^$/ { blank = 0 }
{ prev = $0 }
END { exit bad }
' "$@"
