"""The program that docs/audit.md prints verifies an export, and finds what was changed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from helixflow.testing.audit import AuditParts, admin_event

DOCS = Path(__file__).resolve().parents[3] / "docs" / "audit.md"


def run(program: Path, file: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-I", str(program), str(file)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


async def test_the_program_of_the_documentation_verifies(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert "helixflow." not in code
    program, file = tmp_path / "by_hand.py", tmp_path / "audit.jsonl"
    program.write_text(code)
    parts = AuditParts()
    for number in range(1, 5):
        await parts.sink.write("s", number, [admin_event(number, after={"name": 'Ä\n"x"'})])
        await parts.log.seal("org_one")
    lines = await parts.exported()
    file.write_bytes(b"".join(lines))
    good = run(program, file)
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith("good: 4 records")
    for bad in (
        [line.replace(b'"target":{"id":"key_2"}', b'"target":{"id":"key_9"}') for line in lines],
        [line for line in lines if b"key_3" not in line],
        [*lines[:3], lines[5], *lines[3:]],
        [line.replace(b'"sequence":4}}', b'"sequence":5}}') for line in lines],
    ):
        file.write_bytes(b"".join(bad))
        assert run(program, file).returncode == 1
