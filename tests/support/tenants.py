"""Tenants for tests that need no host."""

from addonkit.context import Tenant, TenantState


def tenant(number: int) -> Tenant:
    """Return an enabled tenant with this id."""
    url = f"https://{number}.atlassian.net"
    return Tenant(number, f"site-{number}", "jira", url, url, TenantState.ENABLED)
