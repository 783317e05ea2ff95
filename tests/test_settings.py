from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from helixflow.errors import ConfigError
from helixflow.settings import LimitsSettings, ModelSettings, Settings

ECHO = {"name": "echo-1", "engine": "echo"}
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests does not reach them."""
    for name in list(os.environ):
        if name.upper().startswith("HELIXFLOW__"):
            monkeypatch.delenv(name)


@contextmanager
def environment(**values: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


def fault(raw: dict[Any, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        Settings.of(raw, "file.yaml")
    return str(caught.value)


def test_an_empty_file_is_the_embedded_platform(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("")
    settings = Settings.load(file)
    assert settings == Settings.of({})
    assert (settings.http.port, settings.gateway.request_s, settings.models) == (8000, 600.0, ())


def test_the_shipped_configuration_can_be_used() -> None:
    settings = Settings.load(ROOT / "configs" / "embedded.yaml")
    assert [model.name for model in settings.models] == ["smollm2-135m-instruct", "echo-1"]


@pytest.mark.parametrize(("file", "ratio"), [("embedded", 1.0), ("production", 0.01)])
def test_the_examples_of_traces_can_be_used(file: str, ratio: float) -> None:
    text = (ROOT / "configs" / f"{file}.yaml").read_text(encoding="utf-8")
    assert not Settings.of(yaml.safe_load(text)).telemetry.traces.enabled
    found = re.search(r"^# telemetry:\n(?:#.*\n)+", text, re.MULTILINE)
    assert found is not None
    example = yaml.safe_load(found[0].replace("\n# ", "\n").removeprefix("# "))
    traces = Settings.of(yaml.safe_load(text) | example).telemetry.traces
    assert (traces.enabled, traces.sample_ratio, traces.include_personal) == (True, ratio, False)


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.of({"home": "here"})
    assert settings.home_path == tmp_path / "here"
    assert settings.models_path == tmp_path / "here" / "models"
    elsewhere = Settings.of({"engine": {"models_dir": "weights"}})
    assert elsewhere.models_path == tmp_path / "weights"


def test_the_tree_is_frozen() -> None:
    settings = Settings.of({})
    with pytest.raises(ValidationError):
        settings.http.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.home = ""


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            ({"htp": {}}, "file.yaml: htp: unknown key; did you mean 'http'?"),
            ({"http": {"prot": 1}}, "file.yaml: http.prot: unknown key; did you mean 'port'?"),
            (
                {"models": [ECHO, {**ECHO, "name": "echo-2", "replicas": {"maks": 2}}]},
                "file.yaml: models.1.replicas.maks: unknown key; did you mean 'max'?",
            ),
            (
                {"models": [{"name": "m", "source": {"ggfu": "x"}}]},
                "file.yaml: models.0.source.ggfu: unknown key; did you mean 'gguf'?",
            ),
            (
                {"storage": {"zzz": 1}},
                "file.yaml: storage.zzz: unknown key; known here: call_s, url",
            ),
            ({"_env_file": ".env"}, "file.yaml: _env_file: unknown key"),
            ({"_cli_parse_args": True}, "file.yaml: _cli_parse_args: unknown key"),
            ({True: 1}, "file.yaml: True: unknown key"),
            ({8000: 1}, "file.yaml: 8000: unknown key"),
        ],
    )
    def test_the_nearest_known_one_is_named(self, raw: dict[Any, Any], message: str) -> None:
        assert fault(raw).splitlines()[0].startswith(message)

    def test_all_are_named_at_once(self) -> None:
        assert len(fault({"http": {"prot": 1, "hots": 2}}).splitlines()) == 2
        assert len(fault({"htp": 1, "modles": 2}).splitlines()) == 2

    def test_engine_arguments_are_free(self) -> None:
        model = {"name": "m", "source": {"path": "x"}, "engine_args": {"any": {"thing": [1, None]}}}
        assert Settings.of({"models": [model]}).models[0].engine_args == {
            "any": {"thing": [1, None]}
        }

    def test_engine_arguments_can_be_written_as_json(self) -> None:
        model = {"name": "m", "source": {"path": "x"}, "engine_args": {"day": date(2026, 1, 1)}}
        assert "models.0.engine_args.day" in fault({"models": [model]})

    @given(st.sampled_from(sorted(Settings.model_fields)), st.data())
    def test_a_key_with_a_letter_too_many_is_found_again(
        self, section: str, data: st.DataObject
    ) -> None:
        place = data.draw(st.integers(0, len(section)))
        wrong = section[:place] + "x" + section[place:]
        assert fault({wrong: {}}) == (f"file.yaml: {wrong}: unknown key; did you mean {section!r}?")


class TestEnvironment:
    def test_it_stands_above_the_file_and_leaves_its_neighbours(self) -> None:
        with environment(HELIXFLOW__HTTP__PORT="9000"):
            http = Settings.of({"http": {"port": 1, "host": "::1"}}).http
        assert (http.port, http.host) == (9000, "::1")

    def test_lists_and_tables_are_json(self) -> None:
        with environment(HELIXFLOW__MODELS='[{"name": "echo-9", "engine": "echo"}]'):
            assert [model.name for model in Settings.of({"models": [ECHO]}).models] == ["echo-9"]

    def test_names_in_small_letters_count_too(self) -> None:
        with environment(helixflow__http__port="9000"):
            assert Settings.of({}).http.port == 9000

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("HELIXFLOW__HTTP__PROT", "1", "http.prot: unknown key; did you mean 'port'?"),
            ("HELIXFLOW__HTPT__PORT", "1", "HELIXFLOW__HTPT__PORT: unknown key; did you mean"),
            ("HELIXFLOW__HTTP__PORT", "x", "http.port: Input should be a valid integer"),
            ("HELIXFLOW__MODELS", "[", 'environment: error parsing value for field "models"'),
        ],
    )
    def test_a_wrong_one_is_an_error(self, name: str, value: str, message: str) -> None:
        with environment(**{name: value}):
            assert message in fault({})

    def test_other_variables_do_not_matter(self) -> None:
        with environment(HELIXFLOW_BASE_URL="x", OTHER__THING="y"):
            Settings.of({})


class TestFiles:
    def test_a_missing_file_and_a_folder_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"gone\.yaml: No such file"):
            Settings.load(tmp_path / "gone.yaml")
        with pytest.raises(ConfigError, match="directory"):
            Settings.load(tmp_path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (b"http: [", "not valid YAML"),
            (b"\xff\xfe\x00", "not valid YAML"),
            (b"- a\n- b", "the file must hold a table of sections"),
            (b"text", "the file must hold a table of sections"),
        ],
    )
    def test_what_is_no_table_is_refused(self, tmp_path: Path, text: bytes, message: str) -> None:
        file = tmp_path / "bad.yaml"
        file.write_bytes(text)
        with pytest.raises(ConfigError, match=message):
            Settings.load(str(file))

    def test_errors_begin_with_the_files_name(self, tmp_path: Path) -> None:
        file = tmp_path / "bad.yaml"
        file.write_text(yaml.safe_dump({"http": {"port": 0}}))
        with pytest.raises(ConfigError, match=r"bad\.yaml: http\.port: Input should be greater"):
            Settings.load(file)

    def test_a_password_in_the_file_is_in_no_error(self) -> None:
        raw = {"storage": {"url": "postgresql://u:hunter2@db/x"}, "models": [ECHO, ECHO]}
        with pytest.raises(ConfigError) as caught:
            Settings.of(raw)
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in str(caught.value.__cause__)


class TestModels:
    @pytest.mark.parametrize(
        ("models", "name"),
        [
            ([ECHO, ECHO], "echo-1"),
            ([ECHO, {**ECHO, "name": "echo-2", "aliases": ["echo-1"]}], "echo-1"),
            ([{**ECHO, "aliases": ["e"]}, {**ECHO, "name": "echo-2", "aliases": ["e"]}], "e"),
            ([{**ECHO, "aliases": ["e", "e"]}], "e"),
            ([{**ECHO, "aliases": ["echo-1"]}], "echo-1"),
        ],
    )
    def test_no_two_models_answer_to_one_name(self, models: list[Any], name: str) -> None:
        assert (
            fault({"models": models}) == f"file.yaml: (top level): two models are called {name!r}"
        )

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"name": "-x-echo"}, "String should match pattern"),
            ({"name": "echo/1"}, "String should match pattern"),
            ({"name": "llama"}, "an echo model says so in its name"),
            ({"engine": "vllm"}, "a vllm model needs a source"),
            ({"engine": "other"}, "Input should be 'vllm' or 'echo'"),
            ({"source": {}}, "a source names exactly one of path, huggingface, gguf"),
            ({"source": {"path": "a", "gguf": "b"}}, "a source names exactly one of"),
            ({"replicas": {"min": 3, "max": 2}}, "replicas.max is less than replicas.min"),
            ({"resources": {"gpus": 1.5}}, "resources.gpus is a share of one GPU"),
            ({"price": {"input_usd": -1}}, "greater than or equal to 0"),
            ({"queue_max": -1}, "greater than or equal to 0"),
            ({"sequences_max": 0}, "greater than or equal to 1"),
            ({"fair_queue": {"tenant_share": 0}}, "greater than 0"),
            ({"fair_queue": {"reserved_share": 1}}, "less than 1"),
            ({"fair_queue": {"overtakes_max": 0}}, "greater than or equal to 1"),
            ({"fair_queue": {"output_weight": 0}}, "greater than 0"),
        ],
    )
    def test_a_model_that_cannot_run_is_refused(
        self, changes: dict[str, Any], message: str
    ) -> None:
        assert message in fault({"models": [{**ECHO, **changes}]})

    @pytest.mark.parametrize("gpus", [None, 0, 0.5, 1, 2.0])
    def test_gpus_are_a_share_of_one_or_whole_ones(self, gpus: float | None) -> None:
        model = ModelSettings(name="echo-1", engine="echo", resources={"gpus": gpus})
        assert model.resources.gpus == gpus


class TestIssuers:
    OUTSIDE = {  # noqa: RUF012
        "issuer": "https://id.example",
        "audience": "helixflow",
        "jwks_url": "https://id.example/keys",
        "role_claim": "groups",
        "roles": {"ml": "developer"},
    }

    def test_an_outside_issuer_is_described_by_its_claims(self) -> None:
        (issuer,) = Settings.of({"identity": {"issuers": [self.OUTSIDE]}}).identity.issuers
        assert (issuer.roles, issuer.project) == ({"ml": "developer"}, "")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"jwks_url": "file:///keys"}, "String should match pattern"),
            ({"roles": {"ml": "king"}}, "Input should be 'admin'"),
            ({"default_roles": ["king"]}, "Input should be 'admin'"),
            ({"issuer": ""}, "at least 1 character"),
            ({"project": "proj_1"}, "names both organization and project, or neither"),
            ({"issuer": "http://127.0.0.1:8000"}, "two issuers have the same name"),
        ],
    )
    def test_one_that_cannot_be_trusted_is_refused(
        self, changes: dict[str, Any], message: str
    ) -> None:
        assert message in fault({"identity": {"issuers": [{**self.OUTSIDE, **changes}]}})


def test_nobody_is_buried_while_it_may_still_use_its_slots() -> None:
    assert LimitsSettings(silent_s=5, slots_s=30, margin_s=0.5).buried_s == 30.5
    assert LimitsSettings(silent_s=90).buried_s == 90


def test_several_rate_limiters_need_a_store_that_they_share() -> None:
    stack = {"rate_limiter_replicas": 2}
    with pytest.raises(ConfigError, match=r"needs limits\.store"):
        Settings.of({"stack": stack})
    shared = Settings.of({"stack": stack, "limits": {"store": "redis://127.0.0.1:6379"}})
    assert shared.stack.rate_limiter_replicas == 2
