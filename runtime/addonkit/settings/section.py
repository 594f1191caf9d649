"""The base of the configuration's tables, and a type that several of them use."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from addonkit.protocol.urls import canonical_base_url

BaseUrl = Annotated[str, Field(max_length=200), AfterValidator(canonical_base_url)]


class Section(BaseModel):
    """One table of the file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
