# SPDX-License-Identifier: Apache-2.0
#
# bash completion for doms-ctl: commands, words, bridges and guests.
# shellcheck shell=bash

# Prints the options before the command that say which switch is meant.
_doms_ctl_switch()
{
    local i
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        case ${words[i]} in
        --rundir|--db|--config-dir)
            printf '%s\n' "${words[i]}" "${words[i + 1]}" ;;
        esac
    done
}

_doms_ctl_guests()
{
    local where word
    mapfile -t where < <(_doms_ctl_switch)
    for word in "${words[@]}"; do
        case $word in
        --xen|--local) where+=("$word") ;;
        esac
    done
    doms-ctl --timeout 2 "${where[@]}" list --names 2>/dev/null
}

_doms_ctl_bridges()
{
    local where i db=${OVS_RUNDIR:+unix:$OVS_RUNDIR/db.sock}
    mapfile -t where < <(_doms_ctl_switch)
    for ((i = 0; i + 1 < ${#where[@]}; i += 2)); do
        case ${where[i]} in
        --rundir) db=unix:${where[i + 1]}/db.sock ;;
        --db) db=${where[i + 1]} ;;
        esac
    done
    ovs-vsctl --timeout=2 --no-wait ${db:+--db="$db"} list-br 2>/dev/null
}

# Prints the command, the first word that is neither an option nor the value
# of one.
_doms_ctl_command()
{
    local i
    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
        --rundir|--db|--config-dir|--timeout|--from|--interval|--count|-i|-n)
            ((i++)) ;;
        -*) ;;
        *) printf '%s\n' "${words[i]}"; return ;;
        esac
    done
}

# Splits the line at blanks alone: bash itself splits at '=' and ':' too.
# Sets 'words', 'cword' and 'cur'.
_doms_ctl_split()
{
    local line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"
    if [[ $line == *[[:blank:]] ]]; then
        words+=("")
    fi
    cword=$((${#words[@]} - 1))
    cur=${words[cword]}
}

# Offers those of the lines on the standard input that start with 'cur'.
_doms_ctl_offer()
{
    local line prefix=${cur%"${cur##*[=:]}"}
    while read -r line; do
        if [[ $line == "$cur"* ]]; then
            # bash wants only what follows its last '=' or ':'.
            COMPREPLY+=("${line#"$prefix"}")
        fi
    done
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace
    fi
}

_doms_ctl_attach()
{
    local word i used=' ' line
    if [[ $cur == bridge=* ]]; then
        while read -r line; do
            printf 'bridge=%s\n' "$line"
        done < <(_doms_ctl_bridges)
        return
    fi
    for ((i = 1; i < cword; i++)); do
        used+="${words[i]%%=*} "
    done
    # The guest's name comes first.  Only the user knows it, but in Dom0 it is
    # likely to be a domain that runs.
    if [[ ${words[cword - 1]} == attach ]]; then
        echo --from
        if [[ -e /proc/xen/capabilities ]]; then
            xl list 2>/dev/null | awk 'NR > 2 { print $1 }'
        fi
        return
    fi
    for word in bridge mac mtu queues arena tag trunks rate iface-id; do
        if [[ $used != *" $word "* ]]; then
            printf '%s=\n' "$word"
        fi
    done
}

_doms_ctl()
{
    local words cword cur command
    COMPREPLY=()
    _doms_ctl_split
    case ${words[cword - 1]} in
    --from)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return ;;
    --rundir|--config-dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return ;;
    --db|--timeout|--interval|--count|-i|-n) return ;;
    esac
    command=$(_doms_ctl_command)
    if [[ $cur == -* ]]; then
        _doms_ctl_offer < <(printf '%s\n' --rundir --db --xen --local \
            --config-dir --timeout --no-wait --json --names --from --interval \
            --count --batch --help --version)
        return
    fi
    case $command in
    '')
        _doms_ctl_offer < <(printf '%s\n' attach detach list show stats top \
            doctor watchdog version help) ;;
    attach) _doms_ctl_offer < <(_doms_ctl_attach) ;;
    detach|show|stats) _doms_ctl_offer < <(_doms_ctl_guests) ;;
    watchdog) _doms_ctl_offer < <(echo retry) ;;
    esac
}

complete -F _doms_ctl doms-ctl
