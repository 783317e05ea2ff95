from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.systems.processes import Family, kind_of

_PARENT = (
    "import subprocess, sys; "
    "child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); child.wait()"
)


def test_a_family_is_what_was_started_with_its_mark_and_ends_as_a_whole() -> None:
    family, stranger = Family(), Family()
    parent = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PARENT],
        env=family.environment({}),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert {process.pid for process in family.members()} == {parent.pid, child}
        assert stranger.members() == set()
        before = family.cpu_s()
        assert {process.pid for process in before} == {parent.pid, child}
        assert set(family.spent_s(before)) <= {"python -c", "sleep"}
        assert {kind: count for kind, (count, _) in family.memory().items()} == {
            "python -c": 1,
            "sleep": 1,
        }
        assert family.memory_mib() > 0.0
        assert family.end() == 2
        assert family.members() == set()
    finally:
        parent.kill()
        parent.communicate()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["ray::ServeReplica:model-echo-1:Model.handle_request()"], "Model"),
        (["ray::ServeReplica:helixflow:Ingress"], "Ingress"),
        (["ray::ServeController.listen_for_change()"], "ServeController"),
        (["ray::ProxyActor"], "ProxyActor"),
        (["ray-dashboard-JobHead-0 (/opt/python ...)"], "dashboard"),
        (["/opt/ray/core/src/ray/raylet/raylet", "--raylet_socket_name=x"], "raylet"),
        (["/opt/bin/python3", "-u", "/opt/ray/dashboard/agent.py", "--port=1"], "agent"),
        (["/opt/bin/python", "-m", "benchmarks.systems.trivial", "80"], "trivial"),
        (["/opt/bin/python", "-c", "from multiprocessing.resource_tracker import main"],
         "multiprocessing"),
        (["VLLM::EngineCore"], "VLLM::EngineCore"),
        (["/opt/bin/python", "/opt/bin/litellm", "--port", "1"], "litellm"),
        ([], "unnamed"),
    ],
)  # fmt: skip
def test_a_process_is_named_by_what_it_is(words: list[str], kind: str) -> None:
    assert kind_of(words) == kind
