"""What all of the administration API's bodies share: strict questions, lists, notes of deletion."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from helixflow.api.wire import Wire

T = TypeVar("T")

ID_LENGTH_MAX = 256
LIST_MAX = 256
NAME_LENGTH_MAX = 256
WORD_LENGTH_MAX = 256

Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=ID_LENGTH_MAX)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH_MAX)]
Word: TypeAlias = Annotated[str, Field(min_length=1, max_length=WORD_LENGTH_MAX)]
Words: TypeAlias = Annotated[list[Word], Field(min_length=1, max_length=LIST_MAX)]
EpochSeconds: TypeAlias = Annotated[float, Field(gt=0, le=1e11, allow_inf_nan=False)]
RoleName: TypeAlias = Literal["admin", "auditor", "developer", "owner", "viewer"]


class Asked(BaseModel):
    """The root of all questions. A field that is not named here is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Nothing(Asked):
    """An empty object."""


class Listed(Wire, Generic[T]):
    """A part of a list, oldest first. `last_id` is the `after` of the next part."""

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(Wire):
    """It is gone."""

    object: str
    id: str
    deleted: Literal[True] = True
