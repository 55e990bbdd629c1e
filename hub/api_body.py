"""What the bodies of the API are made of. The only home of pydantic: modules of bodies take its words from here.

What comes in is parsed by these types, strictly. What goes out is encoded by msgspec from the database's rows; that it
is as described is what tests/hub/test_api_lists.py checks, against the OpenAPI document itself.
"""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = [
    "Asked",
    "BaseModel",
    "ConfigDict",
    "Field",
    "Instant",
    "Latitude",
    "Listed",
    "Longitude",
    "Priority",
    "Told",
    "model_validator",
]

Priority = Annotated[int, Field(ge=0, le=4)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Item = TypeVar("Item")


def _instant(found: object) -> datetime:
    """Text only: pydantic by itself would take a number, too."""
    if not isinstance(found, str):
        raise ValueError("must be text, ISO 8601 with a zone")
    return datetime.fromisoformat(found)


Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]


class Asked(BaseModel):
    """What comes in: nothing beyond what is named, no other type taken for the right one, no NUL."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Told(BaseModel):
    """What goes out: every field is always there."""

    model_config = ConfigDict(extra="forbid")


class Listed(Told, Generic[Item]):
    items: list[Item]
    next_cursor: str | None
