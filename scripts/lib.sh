# Shared by the scripts: a virtual environment in the checkout, made once and kept up to date. Source it; do not run it.
#
# GPU_SALIENCY_VENV           folder of the environment (default: .venv in the checkout)
# GPU_SALIENCY_CONSTRAINTS    pip constraints: what versions are installed (default: constraints.txt; empty: the newest)
# PYTHON                      the interpreter that the environment is made with (default: python3)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${GPU_SALIENCY_VENV:-$root/.venv}
constraints=${GPU_SALIENCY_CONSTRAINTS-$root/constraints.txt}
# `train` brings PyTorch, for the tests of the training scripts; `nvrtc` compiles the CUDA kernels without a GPU; `gpu-check` packs.
all_extras=cpu,dev,docs,train,preview,serve,serve-test,fleet,nvrtc,gpu-check,release

say() { printf '%s\n' "$*" >&2; }

# need_environment EXTRAS: install the package from this checkout with EXTRAS (a,b,c), unless that was done before.
need_environment() {
    local extras=$1 stamp=$venv/.installed state extra missing=no started=$SECONDS
    # The install is editable, so only the dependencies and the place of the checkout can go stale.
    state="$(cat "$root/pyproject.toml" ${constraints:+"$constraints"} | cksum) $root"
    if [ -x "$venv/bin/python" ] && [ "$(head -n 1 "$stamp" 2>/dev/null)" = "$state" ]; then
        for extra in ${extras//,/ }; do
            grep -qx "$extra" <(tail -n +2 "$stamp") || missing=yes
        done
        if [ $missing = no ]; then
            return
        fi
    fi
    [ -x "$venv/bin/python" ] || make_environment
    say "installing gpu-saliency[$extras] into $venv (a minute or two the first time)"
    pip_install ${constraints:+-c "$constraints"} -e "$root[$extras]" || {
        say "pip could not install gpu-saliency[$extras]; it needs a network and about 1 GB of disk"
        say "(where a version of ${constraints:-the newest} does not exist for this Python: GPU_SALIENCY_CONSTRAINTS= takes the newest)"
        exit 69
    }
    {
        printf '%s\n' "$state"
        { tr ',' '\n' <<<"$extras"; [ "$(head -n 1 "$stamp" 2>/dev/null)" = "$state" ] && tail -n +2 "$stamp"; true; } | sort -u
    } >"$stamp.new"
    mv "$stamp.new" "$stamp"
    say "installed in $((SECONDS - started)) s"
}

make_environment() {
    local python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        { say "needs Python 3.11 or newer as $python (set PYTHON to another one)"; exit 69; }
    say "making a virtual environment in $venv"
    # Debian's python3 has venv without ensurepip; then the machine's own pip does the installing.
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$venv"
    elif "$python" -m pip --python "$python" --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip "$venv"
    else
        say "$python has neither ensurepip nor a pip of version 22.3 or newer; on Debian: apt-get install python3-venv"
        exit 69
    fi
}

pip_install() {
    local pip=("$venv/bin/python" -m pip)
    "${pip[@]}" --version >/dev/null 2>&1 || pip=("${PYTHON:-python3}" -m pip --python "$venv/bin/python")
    # Twice quiet: errors only.
    "${pip[@]}" install --quiet --quiet --disable-pip-version-check "$@"
}
