"""A plugin for tests of purge and export: its tables have circular references and columns of every type."""

from addonkit.database.connection import AppModules

APPS = {"archive": AppModules(f"{__name__}.models", f"{__name__}.migrations")}
