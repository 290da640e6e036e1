# Shell functions shared by contrib/check and contrib/quickstart; `top` is the top of the sources.

say() { printf '%s\n' "== $*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# Runs a command as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "root is needed to install packages: run this as root or through sudo"
    fi
}

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs those of the packages given that are missing; touches apt only then.
install_packages() {
    missing=
    for package in "$@"; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null 2>&1 || die "this system has no apt-get; packages needed:$missing"
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get -q -o DPkg::Lock::Timeout=300 update >&2
    # shellcheck disable=SC2086
    as_root apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install $missing >&2
}

build_packages() { sed -e 's/#.*//' "$top/contrib/packages"; }

node_is_new_enough() {
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 &&
        [ "$(node -p 'parseInt(process.versions.node)' 2>/dev/null || echo 0)" -ge 18 ]
}

# Node.js of this machine when it is 18 or later, else Debian's.
install_node() {
    node_is_new_enough || install_packages nodejs npm
    node_is_new_enough || die "Node.js 18 or later and npm are needed for the client tests"
}

# ccache when it is there; never required.
compiler() {
    if command -v ccache >/dev/null 2>&1; then echo "ccache gcc"; else echo gcc; fi
}

jobs_count() { nproc 2>/dev/null || echo 2; }

# make_configure: writes ./configure when it is missing or older than what it is made from.
make_configure() {
    newer=$(find "$top/configure.ac" "$top/Makefile.am" \
        "$top"/*/include.am "$top"/tests/*/include.am \
        -newer "$top/configure" 2>/dev/null || echo all)
    if [ ! -f "$top/configure" ] || [ ! -f "$top/Makefile.in" ] || [ -n "$newer" ]; then
        say "autogen"
        "$top/autogen.sh" >"$top/build/autogen.log" 2>&1 || {
            cat "$top/build/autogen.log"
            die "autogen.sh failed"
        }
    fi
}

# configure_tree FOLDER [configure arguments]: configures out of tree, again only when the
# arguments or ./configure changed.
configure_tree() {
    tree=$1
    shift
    mkdir -p "$tree"
    wanted="$* CC=$(compiler)"
    if [ -f "$tree/Makefile" ] && [ "$(cat "$tree/.configured" 2>/dev/null)" = "$wanted" ] &&
        [ ! "$top/configure" -nt "$tree/config.status" ]; then
        return 0
    fi
    say "configure $*"
    (cd "$tree" && "$top/configure" -q "$@" CC="$(compiler)") >"$tree/configure.log" 2>&1 ||
        { tail -n 30 "$tree/configure.log"; die "configure failed, see $tree/config.log"; }
    printf '%s\n' "$wanted" >"$tree/.configured"
}

# make_tree FOLDER TARGET...: output goes to FOLDER/make.log, its end to the screen on failure. A
# stale Makefile is made anew first: beside other targets automake's rules for it may fail.
make_tree() {
    tree=$1
    shift
    {
        make -C "$tree" Makefile && make -C "$tree" -j"$(jobs_count)" "$@"
    } >"$tree/make.log" 2>&1 || {
        grep -aE -A 12 'error:|Error [0-9]|\*\*\*' "$tree/make.log" | head -n 60
        die "make failed, see $tree/make.log"
    }
}
