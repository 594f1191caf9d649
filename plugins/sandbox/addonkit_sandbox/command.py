"""``addonkit sandbox``: runs the add-on and the simulated products in one process.

This is the only module that knows deployments; all others work with an add-on at a URL.
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
from addonkit.testing import Application, assemble_as_served, bind, serving

from addonkit_sandbox.bridge import Bridge
from addonkit_sandbox.sample import DOCUMENTS, ISSUES, SPACE
from addonkit_sandbox.simulation import Simulation
from addonkit_sandbox.state import State
from addonkit_sandbox.web import create_web

FOLDER = ".sandbox"
HOST = "127.0.0.1"
ADDON = "localhost"  # A different site than the products', so that browsers separate the two as in production.


class PortTaken(AddonkitError):
    """Another process listens on a port of the sandbox."""


@click.command()
@click.option("--port", default=8000, show_default=True, help="Port of the add-on.")
@click.option("--host-port", default=9000, show_default=True, help="Port of the simulated products.")
@click.option(
    "--deployment-database", is_flag=True, help="Use the database of [database] instead of the sandbox's own file."
)
@click.pass_obj
def sandbox(deployment: Deployment, port: int, host_port: int, deployment_database: bool) -> None:
    """Run the add-on inside a simulated Jira and Confluence on this machine."""
    asyncio.run(run(deployment, port, host_port, deployment_database))


async def run(deployment: Deployment, port: int, host_port: int, deployment_database: bool = False) -> None:
    """Serve the add-on and the products until SIGINT or SIGTERM; print their addresses when both are ready.

    Args:
        deployment: The add-on's deployment.
        port: Port of the add-on; 0 selects a free one.
        host_port: Port of the simulated products; 0 selects a free one.
        deployment_database: Use the deployment's database instead of the sandbox's own.

    Raises:
        AddonkitError: A port is in use, the host's library is missing, or the add-on cannot be started or installed.
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
        stopped = _stop_event()  # Installed before the addresses are printed: whoever reads them may send a signal.
        click.echo(addresses(simulation))
        await stopped.wait()


async def _addon(deployment: Deployment, simulation: Simulation, deployment_database: bool) -> Application:
    """Create the add-on with settings for the sandbox: loopback addresses, the simulated key host, its own database."""
    overrides: dict[str, Any] = {
        "addon": {"base_url": simulation.addon_url},
        "host": {
            "install_keys": [f"{simulation.origin}/install-keys"],
            "token_server": simulation.origin,
            "domains": [HOST],
        },
    }
    if deployment.settings.host.record_calls:
        # The path at which the deployment's 'addonkit check' reads it.
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
    except OSError as error:
        raise PortTaken(f"port {port} is in use ({error.strerror}); choose another with {option}") from None


def addresses(simulation: Simulation) -> str:
    """Return the addresses of the add-on and the products, one on each line."""
    issue, document = next(iter(ISSUES)), next(iter(DOCUMENTS))
    rows = {
        "Start": f"{simulation.origin}/",
        "Jira issue": f"{simulation.origin}/browse/{issue}",
        "Confluence page": f"{simulation.origin}/wiki/spaces/{SPACE['key']}/pages/{document}",
        "Add-on": f"{simulation.addon_url}/atlassian-connect.json",
    }
    width = max(map(len, rows))
    lines = [f"  {name:<{width}}  {address}" for name, address in rows.items()]
    return "\n".join(
        [f"{simulation.name} is installed on a simulated Jira and Confluence", *lines, "Press Ctrl+C to stop"]
    )


def _stop_event() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped
