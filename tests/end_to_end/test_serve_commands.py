"""Ray's own `serve` command on this application, as a Ray user types it. A stack of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from helixflow.storage.env_file import EnvFile

from .conftest import ROOT, free_port, read_env, run_cli

pytestmark = [pytest.mark.stack, pytest.mark.slow]

ECHO = {"name": "echo-1", "engine": "echo", "resources": {"cpus": 0.1}}


def serve(*words: str, home: Path, timeout_s: float = 120) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("serve")), *words],
        cwd=ROOT,
        env={**os.environ, **EnvFile(home / "ray.env").read()},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_serve_deploy_adds_a_model_and_restarts_no_other(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"models": [ECHO]}))
    up = run_cli(home, "up", "--config", str(config), "--port", str(port), timeout_s=200)
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        before = yaml.safe_load(serve("status", home=home))
        key = read_env(home)["OPENAI_API_KEY"]

        deployed = yaml.safe_load((ROOT / "configs" / "serve" / "embedded.yaml").read_text())
        deployed["http_options"]["port"] = port
        models = [ECHO, {**ECHO, "name": "echo-2"}]
        deployed["applications"][0]["args"] = {"settings": {"home": str(home), "models": models}}
        file = tmp_path / "serve.yaml"
        file.write_text(yaml.safe_dump(deployed))
        serve("deploy", str(file), home=home)

        body = {"model": "echo-2", "messages": [{"role": "user", "content": "hi"}]}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        headers = {"authorization": f"Bearer {key}"}
        status = 0
        for _ in range(600):  # each try waits for the platform, bounded by its own deadlines
            status = httpx.post(url, json=body, headers=headers, timeout=30).status_code
            if status == 200:
                break
        assert status == 200
        after = yaml.safe_load(serve("status", home=home))
        assert after["applications"].keys() == {"helixflow", "model-echo-1", "model-echo-2"}
        kept = [each["applications"]["model-echo-1"] for each in (before, after)]
        assert kept[0]["last_deployed_time_s"] <= kept[1]["last_deployed_time_s"]
        assert kept[1]["deployments"]["Model"]["replica_states"] == {"RUNNING": 1}
    finally:
        run_cli(home, "down", timeout_s=120)
