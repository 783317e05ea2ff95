#!/usr/bin/env bash
# Fails where a file that git has or would take holds what looks like a secret.
# A false alarm gets `# pragma: allowlist secret` at the end of its line.
set -euo pipefail
cd "$(dirname "$0")/.."

files() { git ls-files -z --cached --others --exclude-standard; }

# The names of refusals are no secrets, nor are the tests' passwords of plain words;
# random-looking text is everywhere in pinned checksums.
files | xargs -0 .venv/bin/detect-secrets-hook --no-verify \
    --exclude-secrets '^([a-z_]+_api_key|hunter2|hx-proj-secret|[a-z]+,?( [a-z,]+)+|new|pw)$' \
    --disable-plugin Base64HighEntropyString --disable-plugin HexHighEntropyString

# Keys of our own kind, which that tool does not know.
if files | xargs -0 grep -nIE 'hx-(proj|svc|adm)-[A-Za-z0-9_-]{40,}' | grep -v 'allowlist secret'; then
    echo "the lines above hold a HelixFlow key" >&2
    exit 1
fi
