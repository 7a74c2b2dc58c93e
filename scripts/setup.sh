#!/usr/bin/env bash
# setup.sh PYTHON EXTRA...: installs the project with these extras into .venv, which PYTHON creates
# if it is missing. Each installed extra leaves .venv/EXTRA.done, so `make` repeats an interrupted installation.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1; shift
extras=("$@")
log=.venv/install.log

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

check_python() {
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null |
        grep -oE '[0-9]+\.[0-9]+') ||
        fail "'$python' does not run; install Python 3.11 or newer and choose it: make PYTHON=python3.12 ..."
    ((${version%.*} * 100 + ${version#*.} >= 311)) ||
        fail "'$python' is Python $version, too old; choose 3.11 or newer: make PYTHON=python3.12 ..."
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "'$python' has no venv module; on Debian or Ubuntu: sudo apt install python3-venv python$version-venv"
}

# Keeps a working .venv and replaces an incomplete one.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    check_python
    output=$("$python" -m venv --clear .venv 2>&1) ||
        fail "'$python' cannot create .venv: $(tail -n 1 <<<"$output")"
fi

wanted=$(IFS=,; echo "${extras[*]}")
echo "Installing into .venv; the first time downloads several GB (progress: tail -f $log) ..."
.venv/bin/python -m pip install --progress-bar off -e ".[$wanted]" >"$log" 2>&1 ||
    fail "installation failed, see the end of $log; check the internet connection and the disk space (about 6 GB), then run make again"

output=$(.venv/bin/python -c 'import cv2' 2>&1) || {
    library=$(grep -o 'lib[^ :]*\.so[.0-9]*' <<<"$output" | head -n 1) || true
    fail "OpenCV cannot be imported${library:+: $library is missing}; on Debian or Ubuntu:" \
        "sudo apt-get install -y libgl1 libglib2.0-0 libxcb1"
}

# Only `centernet export OUT.html` needs it; without npm or an internet connection, the rest works.
.venv/bin/python scripts/fetch_runtime.py || true

for extra in "${extras[@]}"; do touch ".venv/$extra.done"; done
