# Completion for bash: the options of bsvpeerd, bsvpeer-cli and bsvpeer-bca, the commands of the node
# that answers, and those of bsvpeer-bca. Install as
# /usr/share/bash-completion/completions/bsvpeer-cli with links bsvpeerd and bsvpeer-bca beside it, or
# source it from ~/.bashrc.

# The options a program's help names.
_bsvpeer_options() {
    "$1" -help 2>/dev/null | sed -n 's/^ *\(-[a-z?][a-z0-9-]*=\{0,1\}\).*/\1/p' | sort -u
}

_bsvpeer_complete() {
    local program=$1 word=$2 given=() commands i
    COMPREPLY=()
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_bsvpeer_options "$program")" -- "$word")
        if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
            compopt -o nospace 2>/dev/null
        fi
        return
    fi
    if [[ ${program##*/} == bsvpeer-bca ]]; then
        commands=$("$program" -help 2>/dev/null | sed -n 's/^  bsvpeer-bca \([a-z]*\).*/\1/p')
        [[ $COMP_CWORD -gt 1 ]] || mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
        return
    fi
    [[ ${program##*/} == bsvpeer-cli ]] || return
    # A command was given already: "help" takes one more, the rest is up to the user.
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -* ]]; then
            given+=("${COMP_WORDS[i]}")
        elif [[ ${COMP_WORDS[i]} != help ]]; then
            return
        fi
    done
    commands=$("$program" "${given[@]}" help 2>/dev/null | sed -n 's/^\([a-z][a-zA-Z0-9]*\).*/\1/p')
    commands+=" "$("$program" -help 2>/dev/null |
        sed -n 's/^ *bsvpeer-cli \[options\] \([a-z]*\) <.*/\1/p')
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
}

complete -F _bsvpeer_complete bsvpeerd bsvpeer-cli bsvpeer-bca
