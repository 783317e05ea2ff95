"""A Ray program beside the platform, as a Ray user writes one; driven by lines of JSON.

Run in a process of its own: it joins the stack's Ray cluster by the address and the token in its
environment. Each line on standard input is a command, each line on standard output its answer.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import ray
from ray import serve

import helixflow
from helixflow.errors import Refused


def answer(command: dict[str, Any]) -> Any:
    match command["do"]:
        case "running":
            app = f"model-{command['model']}"
            handle = serve.get_deployment_handle("Model", app_name=app)
            return handle.running.remote().result(timeout_s=10)
        case "chat":
            return helixflow.connect(command["key"]).chat(**command["body"])
        case "stream":
            return list(helixflow.connect(command["key"]).stream(**command["body"]))
        case "models":
            return helixflow.connect(command["key"]).models()
        case "stream_one":
            stream = helixflow.connect(command["key"]).stream(**command["body"])
            first = next(stream)
            stream.close()
            return first
        case other:
            raise ValueError(other)


def main() -> None:
    warnings.simplefilter("ignore")
    ray.init(address=sys.argv[1], namespace="probe", log_to_driver=False, logging_level="ERROR")
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        try:
            result: Any = {"ok": answer(json.loads(line))}
        except Refused as refused:
            result = {"refused": refused.to_wire(), "class": type(refused).__name__}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
