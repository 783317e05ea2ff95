"""What all tests share: how many examples are drawn, who runs what, and that no stack stays."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.scheduling import Scheduling, turn

RUN_FOLDER = "HELIXFLOW_TEST_RUN"
"""The variable that names the folder of a run, in which its one stack has its home."""

# The machine may be busy: how long an example takes says nothing about the code. `make test-full`
# draws many more examples than the suite that runs on every change.
for _name, _examples in (("quick", 30), ("full", 300)):
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("HELIXFLOW_EXAMPLES", "quick"))

# Workers must collect the same names: a set has one order in all of them, and what is minted at
# import gives no name.
_MINTED = re.compile(r"(hx-[a-z]+-|[a-z]{2,}_)[A-Za-z0-9]{20,}")
_ID_LENGTH_MAX = 200


def pytest_configure(config: pytest.Config) -> None:
    if RUN_FOLDER not in os.environ:
        os.environ.setdefault("PYTHONHASHSEED", str(secrets.randbelow(2**32)))
        folder = os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="helixflow-tests-")
        config.add_cleanup(partial(_end_stack, Path(folder)))


def _end_stack(folder: Path) -> None:
    """A worker that was interrupted or killed has not ended its stack."""
    del os.environ[RUN_FOLDER]
    for record in folder.glob("*/stack.json"):
        program = Path(sys.executable).with_name("helixflow")
        subprocess.run([program, "down", "--home", record.parent], timeout=120, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    minted = isinstance(val, str | bytes) and _MINTED.search(str(val[:_ID_LENGTH_MAX]))
    return argname if minted else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=turn)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)
