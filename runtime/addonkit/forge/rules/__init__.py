"""The rules that a manifest must follow, by the part of the manifest that they are about."""
