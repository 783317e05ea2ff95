from __future__ import annotations

from pathlib import Path

from benchmarks.systems.helixflow_stack import read_env


def test_a_file_for_a_shell_is_read_as_a_shell_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "env"
    words = "hx-proj-a b"
    file.write_text(f"# note\nexport OPENAI_API_KEY='{words}'\nHELIXFLOW_BASE_URL=http://x\n")
    assert read_env(file) == {"OPENAI_API_KEY": words, "HELIXFLOW_BASE_URL": "http://x"}
