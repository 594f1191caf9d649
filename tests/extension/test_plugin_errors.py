"""What a plugin's code raises becomes one error that names the plugin."""

import pytest
from addonkit.errors import AddonkitError, PluginError
from addonkit.extension.discovery import plugin_errors

MESSAGE = "plugin 'odd' cannot be used: {cause}; correct it"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (RuntimeError("the moon\nis in the wrong place"), "RuntimeError: the moon"),
        (KeyError("map"), "KeyError: 'map'"),
        (ValueError(), "ValueError: no message"),
        (SystemExit(3), "SystemExit: 3"),
        (AddonkitError("no key."), "AddonkitError: no key"),
        (LookupError("{cause} and {0}"), "LookupError: {cause} and {0}"),
    ],
    ids=["two lines", "key", "no message", "exit", "error of the runtime", "braces"],
)
def test_error_of_a_plugin_becomes_a_plugin_error(error, cause):
    with pytest.raises(PluginError) as found, plugin_errors("odd", MESSAGE):
        raise error
    assert (str(found.value), found.value.plugin) == (f"plugin 'odd' cannot be used: {cause}; correct it", "odd")
    assert found.value.__cause__ is error


@pytest.mark.parametrize("error", [PluginError("another", plugin="other"), KeyboardInterrupt()], ids=["plugin", "key"])
def test_error_of_another_kind_passes_unchanged(error):
    with pytest.raises(type(error)) as found, plugin_errors("odd", MESSAGE):
        raise error
    assert found.value is error
