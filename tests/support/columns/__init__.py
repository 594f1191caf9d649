"""A plugin whose model has a column of each kind."""

from addonkit.database.connection import AppModules

APPS = {"columns": AppModules(f"{__name__}.models", f"{__name__}.migrations")}
