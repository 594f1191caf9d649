"""A plugin with related tables, for tests of the isolation between tenants."""

from addonkit.database.connection import AppModules

APPS = {"notes": AppModules(f"{__name__}.models", f"{__name__}.migrations")}
