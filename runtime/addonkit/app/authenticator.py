"""Builds the authenticator of an add-on from its settings and plugins."""

from __future__ import annotations

from addonkit.app.deployment import Deployment
from addonkit.current import Runtime
from addonkit.edge.authentication import Authenticator
from addonkit.edge.sightings import Sightings
from addonkit.protocol.sessions import Sessions
from addonkit.tenancy.directory import Directory
from addonkit.tenancy.states import TenantStates


def build_authenticator(
    deployment: Deployment, runtime: Runtime, directory: Directory, sessions: Sessions, states: TenantStates
) -> Authenticator:
    """Return what verifies the credentials of requests, and notes which sites sent them."""
    settings, registry = deployment.settings, deployment.registry
    return Authenticator(
        directory=directory,
        sessions=sessions,
        audiences=settings.addon.base_urls | {settings.addon.key},
        leeway_s=settings.host.clock_leeway_s,
        host_parameters={path: names for one in registry.contributions.values() for path, names in one.filled.items()},
        sightings=Sightings(
            states=states,
            directory=directory,
            listeners=registry.listeners("addon_enabled"),
            wake=runtime.notify,
        ),
    )
