"""Whether a configuration can be used, and what each of its models gets on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deployments.specs import model_spec
from helixflow.engine.budget import Shares, plan
from helixflow.engine.hardware import Hardware, detect
from helixflow.engine.weights import read_facts
from helixflow.errors import ModelLoadError
from helixflow.inference.model_spec import EngineKind, ModelSpec, SourceKind
from helixflow.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """What there is to say about one model; `fault` says why it could not be brought up."""

    model: str
    engine: str
    source: str
    budget: str
    fault: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "engine": self.engine,
            "source": self.source,
            "budget": self.budget,
            "fault": self.fault,
        }


def check(settings: Settings, hardware: Hardware | None = None) -> list[Finding]:
    """Look at every model. Nothing is loaded, converted or fetched."""
    machine = hardware or detect()
    shares = Shares(settings.engine.memory_share, settings.engine.gpu_share)
    return [
        _finding(model_spec(model), machine, shares, settings.models_path)
        for model in settings.models
    ]


def _finding(spec: ModelSpec, hardware: Hardware, shares: Shares, models: Path) -> Finding:
    source = f"{spec.source.kind.value} {spec.source.location}".strip()
    budget, fault = "", ""
    folder = _weights(spec, models)
    if spec.engine is EngineKind.ECHO:
        budget = "none is needed"
    elif folder is None:
        budget = "known once the weights are here"
    else:
        try:
            budget = plan(spec, read_facts(folder), hardware, shares).explain()
        except ModelLoadError as error:
            fault = str(error)
    return Finding(spec.name, spec.engine.value, source, budget, fault)


def _weights(spec: ModelSpec, models: Path) -> Path | None:
    """Where the weights are, if they are on this machine already."""
    if spec.source.kind is SourceKind.PATH:
        return Path(spec.source.location)
    if spec.source.kind is SourceKind.GGUF:
        # engine/conversion.py calls a converted file by its name and checksum.
        made = models.glob(f"{Path(spec.source.location).stem}-*/config.json")
        return next((file.parent for file in made), None)
    return None


def show_check(file: Path, findings: list[Finding], console: Console) -> None:
    """Print them for a person."""
    table = Table("model", "engine", "source", "on this machine")
    for finding in findings:
        words = f"[red]{finding.fault}[/]" if finding.fault else finding.budget
        table.add_row(finding.model, finding.engine, finding.source, words)
    console.print(f"{file} can be used", markup=False, soft_wrap=True)
    console.print(table)
