"""Plugins: what they are, where they come from, what they bring, and what keeps them apart."""
