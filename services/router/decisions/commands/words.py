"""What all of a person's commands are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Word = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00]+$")]
Text = Annotated[Word, Field(max_length=4_000)]
OfficeId = Annotated[Word, Field(max_length=60)]


class OneCommand(BaseModel):
    """A command as it comes: nothing in it that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
