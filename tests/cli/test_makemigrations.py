"""``addonkit makemigrations``, with an installed plugin whose models change."""

import sys

import pytest
from addonkit.cli.group import cli
from click.testing import CliRunner

from tests.support.plugin_package import PluginPackage

DEFAULT = "    size = fields.IntField(default=0)"
NO_DEFAULT = "    size = fields.IntField()"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A plugin package that is installed."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    package = PluginPackage(tmp_path)
    name, module = package.name, package.path.name
    (package.path / "__init__.py").write_text(
        f'from addonkit import Plugin\nplugin = Plugin("{name}", __name__, models="{module}.models")\n'
    )
    info = tmp_path / f"{module}-1.4.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: addonkit-{name}\nVersion: 1.4.0\n")
    (info / "entry_points.txt").write_text(f"[addonkit]\n{name} = {module}:plugin\n")
    return package


@pytest.fixture
def run(tmp_path, package):
    """Runs ``addonkit makemigrations``; gives the exit code and the output."""
    config = tmp_path / "addon.toml"
    addon = {"key": "com.example.t", "name": "T", "base_url": "http://localhost:8000"}
    lines = [f'{key} = "{value}"' for key, value in addon.items()]
    config.write_text("\n".join(["[addon]", *lines, f'plugins = ["{package.name}"]', ""]))

    def run(*words):
        for module in [name for name in sys.modules if name.startswith(package.path.name)]:
            del sys.modules[module]
        done = CliRunner().invoke(cli, ["--config", str(config), "makemigrations", *words])
        error = "" if done.exception is None else str(done.exception)
        return done.exit_code, done.output + ("" if error.isdecimal() else error)

    return run


def test_makemigrations_writes_a_default_of_the_database(package, run):
    assert run(package.name)[0] == 0
    package.write_models(DEFAULT)
    code, output = run(package.name, "--name", "size")
    assert (code, output.strip().rpartition("/")[2]) == (0, "0002_size.py")
    assert "db_default=0" in (package.path / "migrations" / "0002_size.py").read_text()
    assert run(package.name) == (0, f"the models of '{package.name}' have not changed\n")


def test_makemigrations_refuses_a_step_that_fails_with_rows(package, run):
    run(package.name)
    package.write_models(NO_DEFAULT)
    code, output = run(package.name, "--name", "size")
    assert code == 1
    for part in (f"plugin '{package.name}'", "'0002_size'", f"{package.name}_item.size", "db_default", "--force"):
        assert part in output
    assert run(package.name, "--name", "size", "--force")[0] == 0


def test_makemigrations_check_names_released_steps(package, run):
    run(package.name)
    assert run("--check", package.name) == (0, "no step fails on tables with rows\n")
    package.write_models(NO_DEFAULT)
    run(package.name, "--name", "size", "--force")
    for words in (["--check"], ["--check", package.name]):
        code, output = run(*words)
        assert code == 1
        assert output.startswith(f"plugin '{package.name}', step '0002_size', column '{package.name}_item.size': ")
        assert "run makemigrations" in output


def test_makemigrations_warns_of_a_dropped_column(package, run):
    package.write_models("    size = fields.IntField(null=True)")
    run(package.name)
    package.write_models()
    code, output = run(package.name, "--name", "drop")
    assert code == 0
    for part in ("addonkit: warning: ", f"drops the column '{package.name}_item.size'", "0002_drop.py"):
        assert part in output


@pytest.mark.parametrize("words", [[], ["--check", "--force"], ["--check", "--name", "x"]])
def test_makemigrations_refuses_options_that_exclude_each_other(run, words):
    assert run(*words)[0] == 2


def test_makemigrations_check_refuses_an_unknown_plugin(run):
    assert run("--check", "nothing")[0] == 1
