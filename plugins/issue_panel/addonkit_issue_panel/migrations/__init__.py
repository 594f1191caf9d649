"""Migrations of the plugin's table, written by ``addonkit makemigrations``."""
