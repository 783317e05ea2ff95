"""The calls that an Ingress makes to other deployments, and what their failures mean.

Failure behavior: a control call has a deadline of its own and becomes `Unavailable` when it passes
or when the replica is lost. A model's replica that is lost becomes `engine_died`; more waiting
requests than its bound become `Overloaded`. Leaving a call early cancels it in the replica.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ray import serve
from ray.exceptions import RayActorError, RayError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from deployments.names import MODEL, UNKNOWN_REVISION, lean, model_app
from helixflow.errors import Overloaded, Refusal, Unavailable
from helixflow.identity.ports import PolicySet, Verdict, VerdictWire
from helixflow.ids import KeyId, OrganizationId, ProjectId, RequestId
from helixflow.inference.desk import DeskAnswer, DeskCall
from helixflow.inference.frame import Frame
from helixflow.inference.request import EngineRequest
from helixflow.routing.registry import Snapshot

LOST = (RayError, RayServeException, ConnectionError)
"""What a call raises where the other side is gone."""


class RayAuth:
    """Auth, as an Ingress asks it: `Authority`, `PolicySource`, `RevisionSource`, `Touch`, `Desk`.

    Args:
        call_s: the deadline of a call.
        slow_call_s: of an administrative call that hashes a password.
    """

    def __init__(
        self, auth: DeploymentHandle[Any], call_s: float, slow_call_s: float = 5.0
    ) -> None:
        handle = lean(auth)
        self._verify, self._verify_token = handle.verify, handle.verify_token
        self._revision, self._changed = handle.revision, handle.changed
        self._policies, self._touch, self._desk = handle.policies, handle.touch, handle.desk
        self._call_s = call_s
        self._slow_call_s = slow_call_s

    async def verify(self, digest: bytes) -> Verdict:
        """See `Authority.verify`."""
        return _verdict(await self._ask(self._verify, digest))

    async def verify_token(self, token: str) -> Verdict:
        """The verdict about an access token. Raises `Unavailable`."""
        return _verdict(await self._ask(self._verify_token, token))

    async def revision(self) -> int:
        """See `Authority.revision`."""
        revision = int(await self._ask(self._revision))
        if revision == UNKNOWN_REVISION:
            raise _auth_away()
        return revision

    async def changed(self, known: int, wait_s: float) -> int:
        """See `RevisionSource.changed`."""
        limit_s = wait_s + self._call_s
        return int(await self._ask(self._changed, known, wait_s, limit_s=limit_s))

    async def policies(self, organization: OrganizationId, project: ProjectId) -> PolicySet:
        """See `PolicySource.policies`."""
        wire = await self._ask(self._policies, organization, project)
        if wire is None:
            raise _auth_away()
        return PolicySet.from_wire(wire)

    async def touch(self, used: Mapping[KeyId, float]) -> None:
        """See `Touch.touch`."""
        if not await self._ask(self._touch, dict(used)):
            raise _auth_away()

    async def call(self, call: DeskCall) -> DeskAnswer:
        """See `gateway.ports.Desk.call`."""
        limit_s = max(self._call_s, self._slow_call_s) if call.slow else self._call_s
        return DeskAnswer.from_wire(await self._ask(self._desk, call.to_wire(), limit_s=limit_s))

    async def _ask(
        self, method: DeploymentHandle[Any], *arguments: Any, limit_s: float = 0.0
    ) -> Any:
        try:
            async with asyncio.timeout(limit_s or self._call_s):
                return await method.remote(*arguments)
        except (TimeoutError, *LOST) as error:
            raise _auth_away() from error


class RayRegistrySource:
    """Router, as `gateway.ports.RegistrySource`."""

    def __init__(self, router: DeploymentHandle[Any], call_s: float) -> None:
        self._snapshot = lean(router).snapshot
        self._call_s = call_s

    async def snapshot(self, epoch: str, revision: int, wait_s: float) -> Snapshot | None:
        """See `RegistrySource.snapshot`."""
        try:
            async with asyncio.timeout(wait_s + self._call_s):
                wire = await self._snapshot.remote(epoch, revision, wait_s)
        except (TimeoutError, *LOST) as error:
            raise Unavailable(
                Refusal.REGISTRY_UNAVAILABLE, "The Router does not answer.", retry_after_s=1.0
            ) from error
        return None if wire is None else Snapshot.from_wire(wire)


class RayDispatcher:
    """Model replicas, as `gateway.ports.Dispatcher`. Handles are made once per model and kept."""

    def __init__(self) -> None:
        self._unary: dict[str, DeploymentHandle[Any]] = {}
        self._stream: dict[str, DeploymentHandle[Any]] = {}

    async def unary(self, request: EngineRequest) -> Frame:
        """See `Dispatcher.unary`."""
        handle = self._unary.get(request.model) or self._connect(request.model)[0]
        response = handle.remote(request.to_wire())
        try:
            return Frame.from_wire(await response)
        except asyncio.CancelledError:
            response.cancel()
            raise
        except BackPressureError as error:
            raise _full(request.model) from error
        except LOST as error:
            raise _lost(error) from error

    async def stream(self, request: EngineRequest) -> AsyncGenerator[Frame, None]:
        """See `Dispatcher.stream`."""
        handle = self._stream.get(request.model) or self._connect(request.model)[1]
        response = handle.remote(request.to_wire())
        complete = False
        try:
            async for wire in response:
                frame = Frame.from_wire(wire)
                complete = frame.sidecar is not None
                yield frame
        except BackPressureError as error:
            raise _full(request.model) from error
        except LOST as error:
            raise _lost(error) from error
        finally:
            if not complete:
                response.cancel()

    def left(self, request_id: RequestId) -> None:
        """See `Dispatcher.left`: Serve leads to any replica, and so not to the one that knows."""
        return

    def _connect(self, model: str) -> tuple[DeploymentHandle[Any], DeploymentHandle[Any]]:
        # The registry has just said that this app exists; asking the controller again would block.
        handle = serve.get_deployment_handle(MODEL, app_name=model_app(model), _check_exists=False)
        self._unary[model] = lean(handle).unary
        self._stream[model] = lean(handle, stream=True).stream
        return self._unary[model], self._stream[model]


def _verdict(wire: VerdictWire) -> Verdict:
    verdict = Verdict.from_wire(wire)
    if isinstance(verdict.refused, Unavailable):
        raise verdict.refused
    return verdict


def _auth_away() -> Unavailable:
    return Unavailable(Refusal.AUTH_UNAVAILABLE, "Auth does not answer.", retry_after_s=1.0)


def _full(model: str) -> Overloaded:
    return Overloaded(
        Refusal.OVERLOADED, f"Too many requests wait for {model!r}.", retry_after_s=1.0
    )


def _lost(error: BaseException) -> BaseException:
    if isinstance(error, TaskCancelledError) and not isinstance(error, RayActorError):
        return asyncio.CancelledError()
    return Unavailable(Refusal.ENGINE_DIED, "The model's replica was lost.", retry_after_s=5.0)
