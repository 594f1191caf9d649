"""Plugins: the class ``Plugin``, discovery of installed plugins, their contributions and hooks, and their isolation."""
