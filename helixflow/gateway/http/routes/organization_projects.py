"""Projects, their members and their service accounts."""

from __future__ import annotations

from enum import Enum

from fastapi import APIRouter, Response

from helixflow.api.administration import Deleted, Listed, Nothing
from helixflow.api.projects import (
    MemberRequest,
    NewServiceAccount,
    Project,
    ProjectRequest,
    ProjectUpdateRequest,
    ProjectUser,
    RoleRequest,
    ServiceAccount,
    ServiceAccountRequest,
)
from helixflow.gateway.http.visitor import (
    CREATES,
    DELETES,
    LISTS,
    READS,
    UPDATES,
    After,
    Creating,
    Limit,
    PathId,
    Reading,
    Updating,
)
from helixflow.gateway.ports import Desk

_ROOT = "/v1/organization/projects"
_ONE = _ROOT + "/{project_id}"
_USERS = _ONE + "/users"
_ACCOUNTS = _ONE + "/service_accounts"


def router(desk: Desk) -> APIRouter:
    """`/v1/organization/projects`, their `/users` and `/service_accounts`."""
    routes = APIRouter()
    _add_projects(routes, desk)
    _add_users(routes, desk)
    _add_accounts(routes, desk)
    return routes


def _add_projects(add: APIRouter, desk: Desk) -> None:
    tags: list[str | Enum] = ["projects"]

    @add.get(_ROOT, response_model=Listed[Project], responses=LISTS, tags=tags)
    async def list_projects(visitor: Reading, after: After = None, limit: Limit = 20) -> Response:
        """The projects, oldest first, archived ones included."""
        return await visitor.ask(desk, "project.list", after=after, limit=limit)

    @add.post(_ROOT, response_model=Project, responses=CREATES, tags=tags)
    async def create_project(body: ProjectRequest, visitor: Creating) -> Response:
        """Make a project."""
        return await visitor.ask(desk, "project.create", body)

    @add.get(_ONE, response_model=Project, responses=READS, tags=tags)
    async def retrieve_project(project_id: PathId, visitor: Reading) -> Response:
        """One project."""
        return await visitor.ask(desk, "project.read", project_id=project_id)

    @add.post(_ONE, response_model=Project, responses=UPDATES, tags=tags)
    async def modify_project(
        project_id: PathId, body: ProjectUpdateRequest, visitor: Updating
    ) -> Response:
        """Give a project another name, or have the content of its requests kept, or not."""
        return await visitor.ask(desk, "project.update", body, project_id=project_id)

    @add.post(_ONE + "/archive", response_model=Project, responses=CREATES, tags=tags)
    async def archive_project(
        project_id: PathId, visitor: Creating, body: Nothing | None = None
    ) -> Response:
        """Switch a project off for good: its keys and tokens are refused."""
        return await visitor.ask(desk, "project.archive", body, project_id=project_id)


def _add_users(add: APIRouter, desk: Desk) -> None:
    tags: list[str | Enum] = ["projects"]

    @add.get(_USERS, response_model=Listed[ProjectUser], responses=LISTS, tags=tags)
    async def list_project_users(
        project_id: PathId, visitor: Reading, after: After = None, limit: Limit = 20
    ) -> Response:
        """The members of a project, in the order of their joining."""
        return await visitor.ask(
            desk, "project_user.list", project_id=project_id, after=after, limit=limit
        )

    @add.post(_USERS, response_model=ProjectUser, responses=CREATES, tags=tags)
    async def create_project_user(
        project_id: PathId, body: MemberRequest, visitor: Creating
    ) -> Response:
        """Give a user a role in a project."""
        return await visitor.ask(desk, "project_user.create", body, project_id=project_id)

    @add.get(_USERS + "/{user_id}", response_model=ProjectUser, responses=READS, tags=tags)
    async def retrieve_project_user(
        project_id: PathId, user_id: PathId, visitor: Reading
    ) -> Response:
        """One member."""
        return await visitor.ask(desk, "project_user.read", project_id=project_id, user_id=user_id)

    @add.post(_USERS + "/{user_id}", response_model=ProjectUser, responses=UPDATES, tags=tags)
    async def modify_project_user(
        project_id: PathId, user_id: PathId, body: RoleRequest, visitor: Updating
    ) -> Response:
        """Give a member another role."""
        return await visitor.ask(
            desk, "project_user.update", body, project_id=project_id, user_id=user_id
        )

    @add.delete(_USERS + "/{user_id}", response_model=Deleted, responses=DELETES, tags=tags)
    async def delete_project_user(
        project_id: PathId, user_id: PathId, visitor: Reading
    ) -> Response:
        """Take a member's role in a project away."""
        return await visitor.ask(
            desk, "project_user.delete", project_id=project_id, user_id=user_id
        )


def _add_accounts(add: APIRouter, desk: Desk) -> None:
    tags: list[str | Enum] = ["service accounts"]
    one = _ACCOUNTS + "/{service_account_id}"

    @add.get(_ACCOUNTS, response_model=Listed[ServiceAccount], responses=LISTS, tags=tags)
    async def list_service_accounts(
        project_id: PathId, visitor: Reading, after: After = None, limit: Limit = 20
    ) -> Response:
        """The service accounts of a project, oldest first."""
        return await visitor.ask(
            desk, "service_account.list", project_id=project_id, after=after, limit=limit
        )

    @add.post(_ACCOUNTS, response_model=NewServiceAccount, responses=CREATES, tags=tags)
    async def create_service_account(
        project_id: PathId, body: ServiceAccountRequest, visitor: Creating
    ) -> Response:
        """Make a service account and its first key, whose text is shown this once."""
        return await visitor.ask(desk, "service_account.create", body, project_id=project_id)

    @add.get(one, response_model=ServiceAccount, responses=READS, tags=tags)
    async def retrieve_service_account(
        project_id: PathId, service_account_id: PathId, visitor: Reading
    ) -> Response:
        """One service account."""
        return await visitor.ask(
            desk,
            "service_account.read",
            project_id=project_id,
            service_account_id=service_account_id,
        )

    @add.delete(one, response_model=Deleted, responses=DELETES, tags=tags)
    async def delete_service_account(
        project_id: PathId, service_account_id: PathId, visitor: Reading
    ) -> Response:
        """Switch a service account off: its keys and tokens are refused."""
        return await visitor.ask(
            desk,
            "service_account.delete",
            project_id=project_id,
            service_account_id=service_account_id,
        )
