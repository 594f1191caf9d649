"""The yardstick for starts: Quart, Tortoise and pydantic on hypercorn, and nothing of ours; one model, one route."""

from __future__ import annotations

import asyncio
import signal
import sys

import hypercorn.asyncio
import uvloop
from hypercorn.config import Config
from pydantic import BaseModel
from quart import Quart
from tortoise import Tortoise, fields
from tortoise.models import Model


class Settings(BaseModel):
    """What a small application is told."""

    database: str = "sqlite://:memory:"
    greeting: str = "Hello"


class Row(Model):
    """Its one table."""

    id = fields.IntField(primary_key=True)
    text = fields.TextField()


settings = Settings.model_validate({"greeting": "Hello"})
app = Quart(__name__)


@app.before_serving
async def opened() -> None:
    """Open the database."""
    await Tortoise.init(db_url=settings.database, modules={"models": ["__main__"]})
    await Tortoise.generate_schemas()


@app.after_serving
async def closed() -> None:
    """Close it."""
    await Tortoise.close_connections()


@app.get("/")
async def hello() -> str:
    """Say hello."""
    return settings.greeting


async def serve(bind: str) -> None:
    """Serve until SIGINT."""
    config = Config()
    config.bind = [bind]
    config.accesslog = config.errorlog = None
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopped.set)
    await hypercorn.asyncio.serve(app, config, shutdown_trigger=stopped.wait)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
