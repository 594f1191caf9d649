"""The database as such: where it is, how it is opened, migrated, locked and asked. It knows nothing of tenants."""

CONNECTION = "default"
"""Tortoise's name for the one connection that everything goes through."""
