"""A plugin whose tables refer to each other in circles and hold every kind of value: for deleting and copying rows."""

from addonkit.database.connection import AppModules

APPS = {"archive": AppModules(f"{__name__}.models", f"{__name__}.migrations")}
