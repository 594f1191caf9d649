from addonkit import Plugin

plugin = Plugin("no_migrations", __name__, models="stranger_faults.no_migrations")
