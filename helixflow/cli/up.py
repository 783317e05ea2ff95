"""Bringing a stack up: from a configuration file to the first answer.

Failure behavior: what cannot work is said before anything starts (configuration, a taken port).
Where Ray does not start, everything of it is ended again. Where the application cannot be built, or
models take longer than the time given, the stack is left as it is, to be looked at (`helixflow
logs`) or ended (`helixflow down`). Running it again continues where it was.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deployments.haproxy import haproxy_binary, write_wrapper
from helixflow.cli.addresses import choose_ports, require_free
from helixflow.cli.down import clear
from helixflow.cli.environment import (
    files_limit,
    process_environment,
    stack_environment,
)
from helixflow.cli.failure import CommandFailed
from helixflow.cli.first_answer import FirstAnswer, ask
from helixflow.cli.gateway_api import GatewayApi, Readiness
from helixflow.cli.key import prepare_key
from helixflow.cli.processes import identify, is_alive, pillars, processes_of
from helixflow.cli.ray_head import head_arguments, mint_token, ray_program, start_head
from helixflow.cli.record import Stack, alone, digest, load_stack
from helixflow.cli.serve_api import IMPORT_PATH, ServeApi, serve_schema
from helixflow.cli.steps import Steps
from helixflow.cli.target import RAY_ENV_FILE, env_file
from helixflow.cli.waiting import wait_until_ready
from helixflow.engine.hardware import detect
from helixflow.settings import Settings
from helixflow.storage.env_file import EnvFile

_ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be brought up.

    Attributes:
        settings: the whole tree, with an absolute home.
        config: the file that it came from, absolute.
        environ: the caller's environment.
        wait_s: how long models may take.
        import_path: the application's builder.
        ray: the `ray` command.
        mint: brings the database up and gives a valid key.
    """

    settings: Settings
    config: Path
    environ: Mapping[str, str]
    wait_s: float = 900.0
    import_path: str = IMPORT_PATH
    ray: Sequence[str] = ()
    mint: Callable[[Settings, Mapping[str, str]], str] = prepare_key


@dataclass(frozen=True, slots=True)
class Result:
    """A stack that runs.

    Attributes:
        stack: its record.
        readiness: the state of its models.
        first: its first answer, or None where no model is up.
        key_file: where the key is.
        seconds: from the call to the end of the first answer.
        first_token_s: from the call to the first token.
    """

    stack: Stack
    readiness: Readiness
    first: FirstAnswer | None
    key_file: Path
    seconds: float
    first_token_s: float | None


def bring_up(plan: Plan, steps: Steps) -> Result:
    """Start what does not run, deploy what differs, wait, and ask the first question."""
    began = time.monotonic()
    home = plan.settings.home_path
    with alone(home):
        stack = load_stack(home)
        fresh = stack is None or not is_running(stack)
        if stack is not None and fresh:
            with steps.step("Clearing what an earlier stack left"):
                clear(stack)
        if stack is None or fresh:
            stack, key = _start(plan, steps)
        else:
            _require_same(plan, stack)
            key = _key(plan, stack, steps)
        stack = _deploy(plan, stack, steps)
        gateway = GatewayApi(stack.base_url, key)
        with steps.step("Models") as step:
            readiness = wait_until_ready(
                gateway, _serve_api(stack), plan.wait_s, lambda lines: steps.say(step, lines)
            )
        first = _first(plan, gateway, readiness, steps)
    took = time.monotonic() - began
    return Result(
        stack,
        readiness,
        first,
        env_file(home).path,
        took,
        None if first is None else first.at_s - began,
    )


def is_running(stack: Stack) -> bool:
    """Whether the recorded stack's Ray is there and answers."""
    return is_alive(stack.processes) and _serve_api(stack).alive()


def _start(plan: Plan, steps: Steps) -> tuple[Stack, str]:
    """Start Ray for a stack that does not run, and prepare the key beside it."""
    settings = plan.settings
    require_free(settings.http.host, settings.http.port)
    stack = _new_stack(plan)
    # Not to be guessed: whoever knows it could say where a request came from.
    header = f"x-helixflow-source-{secrets.token_hex(8)}"
    wrapper = _wrapper(stack, header)
    environment = stack_environment(settings, stack, wrapper, files_limit(), header)
    stack.save()
    mint_token(stack)
    arguments = head_arguments(settings, stack, detect().cpus)
    full = process_environment(environment, plan.environ)
    try:
        with ThreadPoolExecutor(1) as beside, steps.step("Ray"):
            key = beside.submit(plan.mint, settings, plan.environ)
            start_head(plan.ray or ray_program(), arguments, full, _ROOT)
            found = pillars(processes_of(stack.id))
            if not found:
                raise CommandFailed("Ray started, but its servers carry no mark of ours")
            stack = stack.with_processes(identify(found))
            stack.save()
            prepared = key.result()
    except BaseException:
        clear(stack)
        raise
    _write_addresses(stack)
    return stack, prepared


def _new_stack(plan: Plan) -> Stack:
    settings = plan.settings
    # Unix socket paths end at 107 bytes: not below a home folder that may lie deep.
    temp = tempfile.mkdtemp(prefix="hx-", dir="/tmp")
    return Stack(
        id=secrets.token_hex(8),
        home=str(settings.home_path),
        temp=temp,
        host=settings.http.host,
        ports=choose_ports(settings.http.port),
        config=str(plan.config),
        environment=listening(settings),
    )


def listening(settings: Settings) -> str:
    """A digest of what a running stack cannot change any more: where it listens, and its store."""
    return digest([settings.http.host, settings.http.port, settings.stack.object_store_bytes])


def _wrapper(stack: Stack, source_header: str) -> str:
    return str(write_wrapper(Path(stack.temp) / "bin", haproxy_binary(), source_header))


def _write_addresses(stack: Stack) -> None:
    home = Path(stack.home)
    env_file(home).update(
        {"OPENAI_BASE_URL": f"{stack.base_url}/v1", "HELIXFLOW_BASE_URL": stack.base_url}
    )
    # For `serve status`, `serve deploy` and `ray job`, too.
    dashboard = {
        "RAY_API_SERVER_ADDRESS": stack.dashboard_url,
        "RAY_DASHBOARD_ADDRESS": stack.dashboard_url,
    }
    EnvFile(home / RAY_ENV_FILE).update(stack.ray_environment | dashboard)


def _require_same(plan: Plan, stack: Stack) -> None:
    if stack.environment != listening(plan.settings):
        raise CommandFailed(
            f"a stack runs from {stack.home} at {stack.base_url}, and where it listens cannot be"
            " changed while it runs; `helixflow down` first, or choose another --home"
        )


def _key(plan: Plan, stack: Stack, steps: Steps) -> str:
    """The key of a stack that runs already: known and accepted, or a new one."""
    home = plan.settings.home_path
    known = env_file(home).read()
    key = known.get("OPENAI_API_KEY", "")
    if not (
        key and known.get("HELIXFLOW_ADMIN_KEY") and GatewayApi(stack.base_url, key).accepts_key()
    ):
        with steps.step("Database and key"):
            key = plan.mint(plan.settings, plan.environ)
    _write_addresses(stack)
    return key


def _deploy(plan: Plan, stack: Stack, steps: Steps) -> Stack:
    schema = serve_schema(plan.settings, plan.import_path)
    wanted = digest(schema)
    api = _serve_api(stack)
    if stack.deployed == wanted and any(app.status == "RUNNING" for app in api.applications()):
        return stack
    with steps.step("Serve"):
        api.deploy(schema)
    stack = stack.with_deployed(wanted)
    stack.save()
    return stack


def _first(
    plan: Plan, gateway: GatewayApi, readiness: Readiness, steps: Steps
) -> FirstAnswer | None:
    """Ask the first model in the configuration's order that is ready, real ones first."""
    ready = {model.name for model in readiness.models if model.state == "ready"}
    real_first = sorted(plan.settings.models, key=lambda model: model.engine == "echo")
    for model in real_first:
        if model.name in ready:
            with steps.step(f"First answer from {model.name}") as step:
                return ask(gateway, model.name, lambda line: steps.say(step, [line], passing=True))
    return None


def _serve_api(stack: Stack) -> ServeApi:
    token = stack.token_file.read_text(encoding="utf-8") if stack.token_file.exists() else ""
    return ServeApi(stack.dashboard_url, token)
