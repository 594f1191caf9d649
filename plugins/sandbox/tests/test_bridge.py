"""Finding the host's JavaScript library, and what is made of it."""

import pytest
from addonkit_sandbox.bridge import Bridge, BridgeMissing


def test_the_library_is_found_above_the_configuration(library, tmp_path):
    deep = tmp_path / "examples" / "kit"
    deep.mkdir(parents=True)
    assert Bridge.find([deep]).folder == library


def test_the_library_is_found_from_the_working_directory_too(library, tmp_path, tmp_path_factory):
    assert Bridge.find([tmp_path_factory.mktemp("other"), tmp_path]).folder == library


def test_a_missing_library_is_one_sentence_with_the_command(tmp_path):
    with pytest.raises(BridgeMissing) as missing:
        Bridge.find([tmp_path, tmp_path.parent])
    assert str(missing.value).endswith(
        "run 'npm ci --ignore-scripts' where package.json lies, "
        f"or 'npm install --ignore-scripts atlassian-connect-js@5.3.190' in '{tmp_path}'"
    )
    assert "\n" not in str(missing.value)


def test_all_js_takes_its_stylesheets_from_this_host_and_ends_with_our_tail(library):
    script = Bridge(library).all_js()
    assert 'new URL("cdn", document.currentScript.src)' in script
    assert script.index("CDN_URL") < script.index("AP.request")


def test_another_version_of_the_library_is_refused(library):
    (library / "iframe.js").write_text("// newer")
    with pytest.raises(BridgeMissing, match=r"as version 5\.3\.190 does; run .* in '") as refused:
        Bridge(library).all_js()
    assert str(refused.value).endswith(f" in '{library.parents[2]}'")


@pytest.mark.parametrize("name", ["../package.json", "iframe.js", "themes/none.css", "/etc/passwd"])
def test_no_other_file_is_given_out(library, name):
    (library.parent / "package.json").write_text("{}")
    assert Bridge(library).file(name) is None


def test_stylesheets_are_given_out(library):
    assert Bridge(library).file("themes/light.css") == library / "themes" / "light.css"
