"""The host's JavaScript library: its location and the ``all.js`` built from it."""

import pytest
from addonkit_sandbox.bridge import Bridge, BridgeMissing


def test_library_is_found_above_the_configuration(library, tmp_path):
    deep = tmp_path / "examples" / "kit"
    deep.mkdir(parents=True)
    assert Bridge.find([deep]).folder == library


def test_library_is_found_above_the_working_directory(library, tmp_path, tmp_path_factory):
    assert Bridge.find([tmp_path_factory.mktemp("other"), tmp_path]).folder == library


def test_missing_library_is_an_error_with_the_npm_command(tmp_path):
    with pytest.raises(BridgeMissing) as missing:
        Bridge.find([tmp_path, tmp_path.parent])
    assert str(missing.value).endswith(
        "run 'npm ci --ignore-scripts' in the folder with package.json, "
        f"or 'npm install --ignore-scripts atlassian-connect-js@5.3.190' in '{tmp_path}'"
    )
    assert "\n" not in str(missing.value)


def test_all_js_loads_local_stylesheets_and_ends_with_the_products_additions(library):
    script = Bridge(library).all_js()
    assert 'new URL("cdn", document.currentScript.src)' in script
    assert script.index("CDN_URL") < script.index("AP.request")


def test_library_of_another_version_is_refused(library):
    (library / "iframe.js").write_text("// newer")
    with pytest.raises(BridgeMissing, match=r"is not from version 5\.3\.190; run .* in '") as refused:
        Bridge(library).all_js()
    assert str(refused.value).endswith(f" in '{library.parents[2]}'")


@pytest.mark.parametrize("name", ["../package.json", "iframe.js", "themes/none.css", "/etc/passwd"])
def test_library_serves_no_other_files(library, name):
    (library.parent / "package.json").write_text("{}")
    assert Bridge(library).file(name) is None


def test_library_serves_stylesheets(library):
    assert Bridge(library).file("themes/light.css") == library / "themes" / "light.css"
