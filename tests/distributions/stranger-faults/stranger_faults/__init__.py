"""Plugins that break one rule each; one plugin per file."""
