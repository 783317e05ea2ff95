"""What `up` ends with: where the platform is and how to talk to it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from helixflow.cli.chat import pace
from helixflow.cli.steps import Steps
from helixflow.cli.waiting import describe

if TYPE_CHECKING:
    from helixflow.cli.up import Result


def summary_json(result: Result, steps: Steps) -> dict[str, Any]:
    """For `--json`: addresses, times in seconds, and the first answer."""
    first = result.first
    return {
        "base_url": result.stack.base_url,
        "openai_base_url": f"{result.stack.base_url}/v1",
        "dashboard_url": result.stack.dashboard_url,
        "env_file": str(result.key_file),
        "seconds": round(result.seconds, 3),
        "first_token_s": None if result.first_token_s is None else round(result.first_token_s, 3),
        "steps": {step.title: round(step.seconds or 0.0, 3) for step in steps.steps},
        "models": [asdict(model) for model in result.readiness.models],
        "first_answer": None
        if first is None
        else {
            "model": first.model,
            "text": first.text,
            "tokens": first.measured.tokens,
            "first_token_s": first.measured.first_token_s,
            "tokens_per_s": first.measured.tokens_per_s,
        },
    }


def summary_text(result: Result) -> Text:
    """For a person."""
    text = Text()
    for model in result.readiness.models:
        if model.state != "ready":
            text.append(f"{describe(model)}\n", "red")
    first = result.first
    if first is None:
        return text
    url = result.stack.base_url
    text.append(f"\n{first.model}: ", "bold").append(f"{first.text.strip()}\n")
    text.append(f"{pace(first.measured)}; ready after {result.seconds:.1f} s\n\n", "dim")
    text.append("API        ").append(f"{url}/v1\n", "bold")
    text.append("docs       ").append(f"{url}/docs\n")
    text.append("dashboard  ").append(f"{result.stack.dashboard_url}")
    text.append(f" (token in {result.stack.token_file})\n")
    text.append("key        ").append(f"in {result.key_file}: source {result.key_file}\n\n")
    text.append(_curl(result, first.model), "cyan").append("\n\n")
    text.append(_python(first.model), "cyan").append("\n")
    return text


def _curl(result: Result, model: str) -> str:
    return (
        f"source {result.key_file}\n"
        f'curl -N "$OPENAI_BASE_URL/chat/completions" -H "Authorization: Bearer $OPENAI_API_KEY" \\\n'
        f'  -H \'Content-Type: application/json\' -d \'{{"model": "{model}", "stream": true,'
        ' "messages": [{"role": "user", "content": "Hello"}]}\''
    )


def _python(model: str) -> str:
    return (
        "from openai import OpenAI\n"
        "client = OpenAI()  # reads OPENAI_BASE_URL and OPENAI_API_KEY\n"
        f'answer = client.chat.completions.create(model="{model}",\n'
        '    messages=[{"role": "user", "content": "Hello"}])\n'
        "print(answer.choices[0].message.content)"
    )
