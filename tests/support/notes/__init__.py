"""A plugin with tables that are related to each other, for what tests the wall between sites."""

from addonkit.database.connection import AppModules

APPS = {"notes": AppModules(f"{__name__}.models", f"{__name__}.migrations")}
