#!/usr/bin/env bash
# Makes .venv from the pinned lists in requirements/; a second run does nothing.
#
#   PYTHON           the Python 3.11 to use (default: python3.11)
#   HELIXFLOW_DEVICE cpu or gpu (default: gpu where the NVIDIA driver answers)
#   TORCH_INDEX      where CPU torch is taken from when the configured sources have none
#   VENV             the folder (default: .venv)
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
PYTHON=${PYTHON:-python3.11}
TORCH_INDEX=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
# Without compiled files every process of the stack would compile what it imports, each time.
unset PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

fail() {
    echo "make install: $1" >&2
    exit 1
}

device() {
    if [ -n "${HELIXFLOW_DEVICE:-}" ]; then
        echo "$HELIXFLOW_DEVICE"
    elif command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
        echo gpu
    else
        echo cpu
    fi
}

DEVICE=$(device)
case $DEVICE in
cpu) LISTS=(requirements/cpu.txt requirements/torch-cpu.txt) ;;
gpu) LISTS=(requirements/gpu.txt) ;;
*) fail "HELIXFLOW_DEVICE is '$DEVICE'; it is cpu or gpu" ;;
esac
LISTS+=(requirements/test.txt requirements/bench.txt)

STAMP=$(cat "${LISTS[@]}" pyproject.toml scripts/install.sh | sha256sum | cut -c1-32)-$DEVICE
if [ "$(cat "$VENV/.helixflow-stamp" 2>/dev/null)" = "$STAMP" ] && [ -x "$VENV/bin/python" ]; then
    exit 0
fi

command -v "$PYTHON" >/dev/null && "$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "Python 3.11 is needed and '$PYTHON' is none. Debian 12: apt install python3.11 python3.11-venv.
    Elsewhere: install it (pyenv, deadsnakes, uv) and run PYTHON=/path/to/python3.11 make install"
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "'$PYTHON' cannot make virtual environments. Debian and Ubuntu: apt install python3.11-venv"

SECONDS=0
WORK=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$WORK"' EXIT
say() { printf '%4d s  %s\n' "$SECONDS" "$1"; }

if [ "$DEVICE" = gpu ]; then
    say "an NVIDIA GPU is here: installing the CUDA build of vLLM (HELIXFLOW_DEVICE=cpu for the other)"
else
    say "no NVIDIA GPU is here: installing the CPU build of vLLM (HELIXFLOW_DEVICE=gpu for the other)"
fi
"$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null ||
    "$PYTHON" -m venv --clear "$VENV"

cat "${LISTS[@]}" | grep -v '^#' | grep -v '^torch==' >"$WORK/all.txt"
TOTAL=$(wc -l <"$WORK/all.txt")

install() { "$VENV/bin/python" -m pip install --no-compile --progress-bar off "$@"; }

torch() {
    install --no-deps -r requirements/torch-cpu.txt >"$WORK/torch.log" 2>&1 && return
    say "no CPU build of torch in the configured package sources; taking it from $TORCH_INDEX"
    install --no-deps --index-url "$TORCH_INDEX" -r requirements/torch-cpu.txt >"$WORK/torch.log" 2>&1
}

watch_progress() {
    while sleep 5; do
        say "$(cat "$WORK"/*.log 2>/dev/null | grep -cE '^(Collecting|Requirement already)') of $TOTAL packages fetched"
    done
}

watch_progress &
if [ "$DEVICE" = cpu ]; then
    # The lists are complete and --no-deps, so parts of them can be installed at the same time.
    torch &
    PARTS=($!)
    for part in 0 1 2; do
        awk "NR % 3 == $part" "$WORK/all.txt" >"$WORK/$part.txt"
        install --no-deps -r "$WORK/$part.txt" >"$WORK/$part.log" 2>&1 &
        PARTS+=($!)
    done
    OK=yes
    for job in "${PARTS[@]}"; do wait "$job" || OK=no; done
    if [ $OK = no ]; then
        say "something did not install at the first try; once more, one after the other"
        torch || { tail -n 5 "$WORK/torch.log" >&2; fail "CPU torch could not be installed"; }
        install --quiet --no-deps -r "$WORK/all.txt" || fail "see pip's message above"
    fi
else
    install -r "$WORK/all.txt" >"$WORK/all.log" 2>&1 ||
        { tail -n 20 "$WORK/all.log" >&2; fail "see pip's message above"; }
fi
install --quiet --no-deps --no-build-isolation --editable . || fail "see pip's message above"

say "compiling what the platform imports"
IMPORTS_SERVE='import ray.serve._private.replica, ray.serve._private.controller, ray.serve._private.haproxy
import ray.dashboard.dashboard, ray.dashboard.agent, ray.scripts.scripts, deployments.app, helixflow.cli.up'
IMPORTS_ENGINE='import vllm.v1.engine.async_llm, vllm.v1.engine.core, transformers
import vllm.entrypoints.launchers.api_server.app_state'
[ "$DEVICE" = cpu ] && export VLLM_TARGET_DEVICE=cpu && IMPORTS_ENGINE+=', vllm.v1.worker.cpu_worker'
"$VENV/bin/python" -c "$IMPORTS_SERVE" >"$WORK/serve.log" 2>&1 &
SERVE=$!
"$VENV/bin/python" -c "$IMPORTS_ENGINE" >"$WORK/engine.log" 2>&1 ||
    { tail -n 5 "$WORK/engine.log" >&2; fail "vLLM cannot be imported"; }
wait $SERVE || { tail -n 5 "$WORK/serve.log" >&2; fail "Ray Serve cannot be imported"; }

echo "$STAMP" >"$VENV/.helixflow-stamp"
say "installed into $VENV"
