"""A plugin whose models have fields and attributes with the names that ``rows()`` uses."""

from addonkit.database.connection import AppModules

APPS = {"shown": AppModules(f"{__name__}.models", f"{__name__}.migrations")}
