"""Plugins that each break one rule, one a file."""
