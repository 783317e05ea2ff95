"""Policies and their cases in files, tried without a platform.

    policies: [no-interns.cedar]      # beside this file; or given with --policy
    cases:
      - {name: interns stay away, project: proj_interns, action: "model:invoke", model: big,
         expect: deny}

A file that is only a list is a list of cases. identity/policy_cases.py says what a case may hold.
The libraries of policies take a while to load, so only the functions here import them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table
from rich.text import Text

from helixflow.cli.admin.tables import Columns, table
from helixflow.cli.failure import CommandFailed
from helixflow.errors import ConfigError, InvalidRequest


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a case.

    Attributes:
        because: the files of the policies that decided; `roles` where none did.
        errors: what went wrong while they were evaluated.
    """

    name: str
    expected: str
    decided: str
    because: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether it is what was expected."""
        return self.expected == self.decided

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.name,
            "passed": self.passed,
            "expected": self.expected,
            "decided": self.decided,
            "because": list(self.because),
            "errors": list(self.errors),
        }


def read_policy(file: Path) -> str:
    """A policy's text, checked as the platform checks it. Raises `CommandFailed` with the fault."""
    from helixflow.identity.cedar_schema import check_source

    try:
        source = file.read_text(encoding="utf-8")
        check_source(source)
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{file}: not UTF-8") from error
    except InvalidRequest as error:
        raise CommandFailed(f"{file}: {error.message}") from error
    return source


def policy_texts(files: Iterable[Path]) -> dict[str, str]:
    """Checked texts by the names of their files."""
    return {str(file): read_policy(file) for file in files}


def try_cases(file: Path, texts: Mapping[str, str]) -> list[Tried]:
    """What the file's own policies and `texts` make of its cases. Raises `ConfigError` for a file
    that cannot be used.
    """
    from helixflow.identity.policy_cases import read_cases, run_cases

    raw = _read(file)
    if isinstance(raw, dict):
        if strange := sorted(set(raw) - {"cases", "policies"}):
            raise ConfigError(f"{file}: unknown key {strange[0]!r}; known: cases, policies")
        named = raw.get("policies") or []
        if not isinstance(named, list):
            raise ConfigError(f"{file}: policies must be a list of files")
        own = {str(name): read_policy(file.parent / str(name)) for name in named}
        texts, raw = {**own, **texts}, raw.get("cases")
    cases = read_cases(raw, str(file))
    if not texts:
        raise ConfigError(f"{file}: name the policies, under `policies:` or with --policy")
    if not cases:
        raise ConfigError(f"{file}: there is no case in it")
    return [
        Tried(
            outcome.case.name,
            outcome.case.expect,
            "allow" if outcome.judgement.allowed else "deny",
            outcome.judgement.because,
            outcome.judgement.errors,
        )
        for outcome in run_cases(texts, cases)
    ]


def report(outcomes: Iterable[Tried]) -> Table:
    """The outcomes as a table."""
    return table((outcome.as_json() for outcome in outcomes), _OUTCOMES)


def _mark(outcome: Mapping[str, Any]) -> Text:
    return Text("passed", "green") if outcome["passed"] else Text("FAILED", "bold red")


def _reason(outcome: Mapping[str, Any]) -> str:
    return ", ".join((*outcome["because"], *outcome["errors"])) or "nothing permits it"


_OUTCOMES: Columns = (
    ("", _mark),
    ("case", "name"),
    ("expected", "expected"),
    ("decided", "decided"),
    ("because of", _reason),
)


def _read(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid YAML: {error}") from error
