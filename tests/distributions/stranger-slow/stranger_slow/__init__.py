"""A plugin with a slow route that returns the id of its process."""

import asyncio
import os

from addonkit import Plugin, Tenant, public
from pydantic import BaseModel


class Settings(BaseModel):
    """Settings of the plugin."""

    word: str = "first"


plugin = Plugin("stranger_slow", __name__, settings=Settings)


@plugin.module("generalPages", name="Page")
async def page(tenant: Tenant) -> str:
    return f"tenant {tenant.id}"


@plugin.get("/wait")
@public
async def wait(seconds: float = 0) -> dict[str, int]:
    await asyncio.sleep(seconds)
    return {"pid": os.getpid()}


@plugin.get("/word")
@public
async def word(settings: Settings) -> str:
    return settings.word


@plugin.post("/size")
@public
async def size(text: str) -> dict[str, int]:
    return {"size": len(text)}


@plugin.get("/fail")
@public
async def fail() -> str:
    raise RuntimeError("it always does")
