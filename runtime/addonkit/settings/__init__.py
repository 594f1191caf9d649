"""A deployment's settings from ``addon.toml``, the environment and a folder of secrets, checked at start."""

from addonkit.settings.encryption_key import parse_key
from addonkit.settings.forge_section import ForgeSettings, Stage
from addonkit.settings.messages import error_message
from addonkit.settings.observation_sections import LogSettings
from addonkit.settings.reading import configuration_at, read_settings, variable_of
from addonkit.settings.section import Section
from addonkit.settings.sections import AddonSettings, Settings
from addonkit.settings.worker_number import LEVEL_VARIABLE, NUMBER_VARIABLE, worker_number

__all__ = [
    "LEVEL_VARIABLE",
    "NUMBER_VARIABLE",
    "AddonSettings",
    "ForgeSettings",
    "LogSettings",
    "Section",
    "Settings",
    "Stage",
    "configuration_at",
    "error_message",
    "parse_key",
    "read_settings",
    "variable_of",
    "worker_number",
]
