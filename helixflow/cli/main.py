"""The `helixflow` command.

Exit codes: 0 done, 1 failed, 2 a configuration or an option that cannot be used, 3 nothing runs,
4 a port is taken, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from helixflow.cli import db, telemetry
from helixflow.cli.admin import audit, limits, org, policy, project, token, user
from helixflow.cli.admin import key as key_commands
from helixflow.cli.admin import usage as usage_commands
from helixflow.cli.chat import Conversation, default_model, pace, talk, write_to
from helixflow.cli.check import check, show_check
from helixflow.cli.command import BaseUrl, Home, Json, command, print_json
from helixflow.cli.down import take_down
from helixflow.cli.environment import caller_environment
from helixflow.cli.failure import CONFIG_EXIT, CommandFailed, NotRunning
from helixflow.cli.logs import follow, log_files, log_folder, tail
from helixflow.cli.models import list_models, show_models
from helixflow.cli.record import load_stack
from helixflow.cli.status import look
from helixflow.cli.status import show as show_status
from helixflow.cli.steps import Steps
from helixflow.cli.summary import summary_json, summary_text
from helixflow.cli.target import Target, find_target, home_folder
from helixflow.cli.top import top
from helixflow.cli.tree import effective_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="HelixFlow: a self-hosted, OpenAI-compatible inference platform.",
)
config_app = typer.Typer(no_args_is_help=True, help="Look at configuration files.")
app.add_typer(config_app, name="config")
for _name, _noun in (
    ("audit", audit.app),
    ("org", org.app),
    ("project", project.app),
    ("user", user.app),
    ("key", key_commands.app),
    ("policy", policy.app),
    ("limits", limits.app),
    ("token", token.app),
    ("db", db.app),
    ("telemetry", telemetry.app),
):
    app.add_typer(_noun, name=_name)

app.command()(usage_commands.usage)
app.command()(top)

Key = Annotated[str | None, typer.Option("--api-key", help="The key; by default the home's.")]
ModelName = Annotated[str | None, typer.Option("--model", "-m", help="Which model.")]


@app.command()
@command
def up(
    config: Annotated[Path, typer.Option("--config", "-c")] = Path("configs/embedded.yaml"),
    port: Annotated[int | None, typer.Option(help="Where to listen.", min=1, max=65_535)] = None,
    home: Home = None,
    wait: Annotated[float, typer.Option(help="Seconds that the models may take.")] = 900.0,
    json_: Json = False,
) -> None:
    """Start the platform, or see that it runs, and stream a first answer."""
    # The database's libraries take half a second to load, and only this command needs them.
    from helixflow.cli.up import Plan, bring_up

    environ = caller_environment()
    settings = effective_settings(config, home, port)
    steps = Steps(Console(stderr=json_))
    with steps.shown():
        result = bring_up(Plan(settings, config.absolute(), environ, wait), steps)
    if json_:
        print_json(summary_json(result, steps))
    else:
        steps.console.print(summary_text(result), soft_wrap=True, highlight=False)
    if result.first is None:
        raise CommandFailed("no model is up; see above, and `helixflow logs`")


@app.command()
@command
def down(
    home: Home = None,
    drain: Annotated[float, typer.Option(help="Seconds that running requests are given.")] = 30.0,
) -> None:
    """Stop the platform: everything of this stack, and nothing else."""
    folder = home_folder(home, caller_environment())
    steps = Steps(Console())
    with steps.shown():
        ended = take_down(folder, drain, steps)
    if ended is None:
        steps.console.print(f"nothing runs from {folder}")
    else:
        steps.console.print(f"stopped; {ended.processes} processes ended", highlight=False)


@app.command()
@command
def status(home: Home = None, json_: Json = False) -> None:
    """Show each part's health, deployments, models, addresses. Exit code 1: not ready."""
    folder = home_folder(home, caller_environment())
    stack = load_stack(folder)
    if stack is None:
        raise NotRunning(f"no stack runs from {folder}; start one with `helixflow up`")
    seen = look(stack)
    if json_:
        print_json(seen.as_json())
    else:
        show_status(seen, Console())
    if not seen.healthy:
        raise typer.Exit(1)


@app.command()
@command
def models(
    home: Home = None, base_url: BaseUrl = None, key: Key = None, json_: Json = False
) -> None:
    """List the models and their states."""
    listed = list_models(_target(home, base_url, key).api())
    if json_:
        print_json(listed)
    else:
        show_models(listed, Console())


@app.command()
@command
def chat(
    question: Annotated[str | None, typer.Argument(help="Ask this and leave.")] = None,
    model: ModelName = None,
    tokens: Annotated[int | None, typer.Option(help="At most so many tokens.")] = None,
    home: Home = None,
    base_url: BaseUrl = None,
    key: Key = None,
) -> None:
    """Talk to a model; with a question, ask just that."""
    api = _target(home, base_url, key).api()
    name = model or default_model(api)
    conversation = Conversation(api, name, tokens)
    console = Console(highlight=False)
    if question is None:
        console.print(f"[dim]{name}: /new begins anew, /exit leaves[/dim]")
        talk(conversation, console, lambda: console.input("[bold cyan]>[/] "))
        return
    measured = conversation.ask(question, write_to(console))
    console.print()
    Console(stderr=True).print(f"[dim]{pace(measured)}[/dim]", highlight=False)


@app.command()
@command
def logs(
    component: Annotated[str, typer.Argument(help="Part of a file's name, as Ingress.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=0)] = 20,
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="Go on.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Only name the files.")] = False,
    home: Home = None,
) -> None:
    """Show the end of the log files: Serve's, or those whose name holds COMPONENT."""
    folder = log_folder(home_folder(home, caller_environment()))
    paths = log_files(folder, component)
    if list_:
        for path in paths:
            typer.echo(path)
        return
    for path, line in tail(paths, lines):
        typer.echo(f"{path.stem}: {line}")
    if follow_:
        for path, line in follow(lambda: log_files(folder, component)):
            typer.echo(f"{path.stem}: {line}")


@config_app.command("check")
@command
def config_check(file: Path, json_: Json = False) -> None:
    """Say whether a configuration can be used, and what each model gets on this machine."""
    findings = check(effective_settings(file, None, None))
    if json_:
        print_json([finding.as_json() for finding in findings])
    else:
        show_check(file, findings, Console())
    if any(finding.fault for finding in findings):
        raise typer.Exit(CONFIG_EXIT)


def _target(home: Path | None, base_url: str | None, key: str | None) -> Target:
    environ = caller_environment()
    return find_target(home_folder(home, environ), environ, base_url, key)


if __name__ == "__main__":
    app(prog_name=Path(sys.argv[0]).name)
