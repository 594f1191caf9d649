"""The baseline for start-up times: hypercorn, one model, one route, and the libraries that an add-on needs.

These are Quart, Tortoise, pydantic, PyJWT with cryptography, orjson and structlog. An add-on that verifies tokens,
encrypts its secrets and writes JSON logs imports them in any case.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import hypercorn.asyncio
import jwt
import orjson
import structlog
import uvloop
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypercorn.config import Config
from pydantic import BaseModel
from quart import Quart
from tortoise import Tortoise, fields
from tortoise.models import Model


class Settings(BaseModel):
    """Settings of a small application."""

    database: str = "sqlite://:memory:"
    greeting: str = "Hello"


class Row(Model):
    """The only table."""

    id = fields.IntField(primary_key=True)
    text = fields.TextField()


settings = Settings.model_validate({"greeting": "Hello"})
app = Quart(__name__)


@app.before_serving
async def open_database() -> None:
    """Open the database."""
    await Tortoise.init(db_url=settings.database, modules={"models": ["__main__"]})
    await Tortoise.generate_schemas()


@app.after_serving
async def close_database() -> None:
    """Close the database."""
    await Tortoise.close_connections()


@app.get("/")
async def hello() -> str:
    """Return the greeting."""
    return settings.greeting


@app.get("/libraries")
async def libraries() -> str:
    """Use each library once; never requested."""
    token = jwt.encode({"sub": AESGCM.generate_key(128).hex()}, settings.greeting * 8)
    structlog.get_logger().info("used", token=orjson.dumps(token))
    return token


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
