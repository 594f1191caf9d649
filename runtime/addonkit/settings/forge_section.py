"""``[forge]``: the app at Forge that carries the same plugins, and how far it has moved there.

Without the table, nothing of the deployment changes, and there is no manifest.
"""

from __future__ import annotations

import re
from typing import Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from addonkit.protocol.urls import is_loopback
from addonkit.settings.section import BaseUrl, Section

Stage = Literal["connect", "hybrid", "forge"]
"""``connect``: Connect modules inside a manifest; ``hybrid``: Forge modules beside them; ``forge``: Forge alone."""
Region = Literal["EU", "US", "AU", "DE", "SG", "CA", "IN", "KR", "JP", "GB", "CH"]
"""Regions that can have a base URL of their own. Source: the remotes of manifests in @forge/manifest 13.7.0."""

# Source: app.id in @forge/manifest 13.7.0.
_APP_ID = re.compile(
    r"ari:cloud:ecosystem::app/[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
)
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,39}")
_MODULE_KEY = re.compile(r"[a-zA-Z0-9-]{1,100}")
MAX_GUIDE = 2048
"""Longest address of the migration guide, in characters. Source: connectToForgeMigration in @forge/manifest 13.7.0."""


class ForgeSettings(Section):
    """``[forge]``: the app at Forge."""

    app_id: str = Field(description="The app's id, 'ari:cloud:ecosystem::app/<uuid>', from 'forge register'.")
    stage: Stage = Field("connect", description="How far the add-on has moved: connect, hybrid or forge.")
    environments: list[str] = Field(
        ["production"], min_length=1, description="The app's environments that this deployment serves."
    )
    native: list[str] = Field([], description="Keys of modules that the stage 'hybrid' declares as Forge modules.")
    products: dict[str, Literal["jira", "confluence"]] = Field(
        {}, description="The product of a module whose type both products have, by its key."
    )
    accepted_losses: list[str] = Field(
        [], description="What may be lost, as 'forge parity' names it: '<plugin> <module, event or hook>'."
    )
    migration_guide: str | None = Field(
        None, max_length=MAX_GUIDE, description="https address of the guide that administrators are shown."
    )
    will_migrate: Literal["yes", "no", "undecided"] = Field(
        "undecided", description="With migration_guide: whether the add-on moves to Forge before Connect ends."
    )
    residency: dict[Region, BaseUrl] = Field({}, description="Base URLs of regions, for data residency.")

    @field_validator("app_id")
    @classmethod
    def _is_app_id(cls, app_id: str) -> str:
        if not _APP_ID.fullmatch(app_id):
            raise ValueError(
                f"'{app_id}' is not the id of an app; 'forge register' prints one such as "
                "'ari:cloud:ecosystem::app/8a3b0b9c-…'"
            )
        return app_id

    @field_validator("environments")
    @classmethod
    def _are_environments(cls, names: list[str]) -> list[str]:
        for name in names:
            if not _ENVIRONMENT.fullmatch(name):
                raise ValueError(
                    f"'{name}' is not the name of an environment; use production, staging, development, or one of "
                    "lower-case letters, digits and '-'"
                )
        if len(set(names)) != len(names):
            raise ValueError("an environment is named twice; name each once")
        return names

    @field_validator("native")
    @classmethod
    def _are_keys(cls, keys: list[str]) -> list[str]:
        for key in keys:
            if not _MODULE_KEY.fullmatch(key):
                raise ValueError(f"'{key}' is not the key of a module; use letters, digits and '-'")
        return keys

    @field_validator("migration_guide")
    @classmethod
    def _is_https(cls, url: str | None) -> str | None:
        if url is not None and not (re.fullmatch(r"https://[^/?#\s]+[^\s]*", url) and url.isprintable()):
            raise ValueError(f"'{url}' is not an https address; give the address of the guide")
        return url

    @field_validator("residency", mode="before")
    @classmethod
    def _are_regions(cls, urls: Any) -> Any:
        """Take regions in lower case as well: names of variables in the environment are read so."""
        if not isinstance(urls, dict):
            return urls
        named = {str(region).upper(): url for region, url in urls.items()}
        for region in named:
            if region not in get_args(Region):
                raise ValueError(f"'{region}' is not a region; known are {', '.join(get_args(Region))}")
        if len(named) != len(urls):
            raise ValueError("a region is named twice, in upper case and in lower case; name each once")
        return named

    @field_validator("residency")
    @classmethod
    def _are_public(cls, urls: dict[Region, str]) -> dict[Region, str]:
        for region, url in urls.items():
            if not url.startswith("https://") or is_loopback(url):
                raise ValueError(f"the region {region} has '{url}', not a public https URL; correct or remove it")
        return urls

    @model_validator(mode="after")
    def _fits_its_stage(self) -> Self:
        if self.native and self.stage == "connect":
            raise ValueError(
                f"native contains '{self.native[0]}', but the stage 'connect' has Connect modules only; remove it, or "
                "set stage = 'hybrid'"
            )
        if self.will_migrate != "undecided" and self.migration_guide is None:
            raise ValueError(
                "will_migrate is set without migration_guide; administrators see both together, so set both or neither"
            )
        return self
