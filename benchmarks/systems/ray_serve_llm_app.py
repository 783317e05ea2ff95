"""Ray's own LLM serving, as its builder makes it: ingress, router and vLLM replica.

Runs in the processes of Serve. Its streaming batch interval is 0, because the default holds each
chunk for 50 ms.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ray import serve


def build(args: dict[str, Any]) -> serve.Application:
    """Args: `name`, `folder`, `arguments` (vLLM's, as a table), `environment`."""
    from ray.serve.llm import LLMConfig, build_openai_app
    from vllm import AsyncEngineArgs

    known = {field.name for field in fields(AsyncEngineArgs)}
    engine = {name: value for name, value in args["arguments"].items() if name in known}
    config = LLMConfig(
        model_loading_config={"model_id": args["name"], "model_source": args["folder"]},
        engine_kwargs=engine,
        accelerator_config={"kind": "cpu"},
        placement_group_config={"bundle_per_worker": {"CPU": 0.1}},
        deployment_config={
            "num_replicas": 1,
            "max_ongoing_requests": 512,
            "ray_actor_options": {"num_cpus": 0.1},
            "logging_config": {"enable_access_log": False},
        },
        runtime_env={"env_vars": args["environment"]},
        experimental_configs={"stream_batching_interval_ms": 0},
        log_engine_metrics=False,
    )
    return build_openai_app(
        {
            "llm_configs": [config],
            "ingress_deployment_config": {
                "num_replicas": 1,
                "max_ongoing_requests": 8192,
                "ray_actor_options": {"num_cpus": 0.1},
                "logging_config": {"enable_access_log": False},
            },
        }
    )
