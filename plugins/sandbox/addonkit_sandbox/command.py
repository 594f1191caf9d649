"""``addonkit sandbox``: the add-on and the simulated products, side by side in one process.

The only file here that knows deployments; everything else works with an add-on that runs at some URL.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click
from addonkit import AddonkitError, Deployment
from addonkit.testing.asgi import Application
from addonkit.testing.assembly import assemble_as_served
from addonkit.testing.loopback import bind, serving

from addonkit_sandbox.bridge import Bridge
from addonkit_sandbox.sample import DOCUMENTS, ISSUES, SPACE
from addonkit_sandbox.simulation import Simulation
from addonkit_sandbox.state import State
from addonkit_sandbox.web import create_web

FOLDER = ".sandbox"
HOST = "127.0.0.1"
ADDON = "localhost"  # another site than the host's, so that browsers keep the two apart as they would in earnest


class PortTaken(AddonkitError):
    """Something else listens on a port that the sandbox wants."""


@click.command()
@click.option("--port", default=8000, show_default=True, help="Port of the add-on.")
@click.option("--host-port", default=9000, show_default=True, help="Port of the simulated products.")
@click.option("--deployment-database", is_flag=True, help="Store in [database], not in a file of the sandbox's own.")
@click.pass_obj
def sandbox(deployment: Deployment, port: int, host_port: int, deployment_database: bool) -> None:
    """Run the add-on inside a simulated Jira and Confluence on this machine."""
    asyncio.run(run(deployment, port, host_port, deployment_database))


async def run(deployment: Deployment, port: int, host_port: int, deployment_database: bool = False) -> None:
    """Serve both until the process is told to end; the addresses are printed once they answer.

    Args:
        deployment: The add-on's.
        port: The add-on's; 0: a free one.
        host_port: The simulated products'; 0: a free one.
        deployment_database: Whether sites and data go where the deployment has its own.

    Raises:
        AddonkitError: A port is taken, the host's library is missing, or the add-on cannot start or be installed.
    """
    bridge = Bridge.find([deployment.directory, Path.cwd()])
    async with AsyncExitStack() as stack:
        addon_socket = stack.enter_context(_bind(port, "--port"))
        host_socket = stack.enter_context(_bind(host_port, "--host-port"))
        simulation = _simulation(deployment.directory / FOLDER, addon_socket, host_socket, bridge)
        await stack.enter_async_context(serving(create_web(simulation), host_socket))
        addon = await _addon(deployment, simulation, deployment_database)
        await stack.enter_async_context(serving(addon, addon_socket))
        await simulation.install()
        ended = _ended()  # from here on: whoever has read the addresses may end us
        click.echo(addresses(simulation))
        await ended.wait()


async def _addon(deployment: Deployment, simulation: Simulation, deployment_database: bool) -> Application:
    """The deployment's add-on, on loopback, with its data in the sandbox's folder and the simulated host trusted."""
    overrides: dict[str, Any] = {
        "addon": {"base_url": simulation.addon_url},
        "host": {
            "install_keys": [f"{simulation.origin}/install-keys"],
            "token_server": simulation.origin,
            "domains": [HOST],
        },
    }
    if deployment.settings.host.record_calls:
        # where the deployment's own 'addonkit check' looks for it
        overrides["host"]["record_calls"] = str(deployment.directory.resolve() / deployment.settings.host.record_calls)
    if not deployment_database:
        overrides["database"] = {"url": "sqlite://addonkit.db", "owner_url": None}
    return await assemble_as_served(deployment.with_overrides(overrides, simulation.state.directory))


def _simulation(directory: Path, addon: socket.socket, host: socket.socket, bridge: Bridge) -> Simulation:
    origin = f"http://{HOST}:{host.getsockname()[1]}"
    state = State(directory, origin)
    state.save()
    return Simulation(origin, f"http://{ADDON}:{addon.getsockname()[1]}", state, bridge)


def _bind(port: int, option: str) -> socket.socket:
    try:
        return bind(port, HOST)
    except OSError as taken:
        raise PortTaken(f"port {port} is taken ({taken.strerror}); free it or name another with {option}") from None


def addresses(simulation: Simulation) -> str:
    """What is where, one address a line."""
    issue, document = next(iter(ISSUES)), next(iter(DOCUMENTS))
    rows = {
        "Start": f"{simulation.origin}/",
        "Jira issue": f"{simulation.origin}/browse/{issue}",
        "Confluence page": f"{simulation.origin}/wiki/spaces/{SPACE['key']}/pages/{document}",
        "Add-on": f"{simulation.addon_url}/atlassian-connect.json",
    }
    width = max(map(len, rows))
    lines = [f"  {name:<{width}}  {address}" for name, address in rows.items()]
    return "\n".join([f"{simulation.name} is installed on a simulated Jira and Confluence", *lines, "Ctrl+C ends it"])


def _ended() -> asyncio.Event:
    """Set by SIGINT and SIGTERM."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended
