# Shared by the scripts: a virtual environment in the checkout, made once and kept up to date. Source it; do not run it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${GPU_SALIENCY_VENV:-$root/.venv}

say() { printf '%s\n' "$*" >&2; }

# need_environment EXTRAS: install the package from this checkout with EXTRAS, unless this very pyproject.toml was installed before.
need_environment() {
    local extras=$1 stamp wanted
    stamp=$venv/.installed-$extras
    wanted=$(cksum <"$root/pyproject.toml")
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    if [ ! -x "$venv/bin/python" ]; then
        local python=${PYTHON:-python3}
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
            { say "needs Python 3.11 or newer as $python (set PYTHON to another)"; exit 69; }
        say "making a virtual environment in $venv"
        "$python" -m venv "$venv" ||
            { rm -rf "$venv"; say "$python cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 69; }
    fi
    say "installing gpu-saliency[$extras]"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e "$root[$extras]" 2> >(grep -v '^WARNING: Location' >&2)
    printf '%s\n' "$wanted" >"$stamp"
}
