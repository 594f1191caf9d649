"""Checks of the configuration file, and of the settings of the listeners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from addonkit.app import Deployment
from addonkit.check import Result
from addonkit.errors import AddonkitError
from addonkit.settings import read_settings

from tests.support.checks import (
    KEY,
    run_local,
)
from tests.support.plugin_under_test import deployment
from tests.support.public_address import NAME, Authority

PUBLIC = {
    "addon": {"base_url": f"https://{NAME}"},
    "host": {"install_keys": ["https://keys.example.com"], "domains": ["*.atlassian.net"]},
    "security": {"encryption_keys": [KEY]},
}


def written(directory: Path, text: str) -> Deployment:
    """A deployment of a file that everybody can read."""
    path = directory / "addon.toml"
    path.write_text(
        f'{text}\n[addon]\nkey = "x.y"\nname = "X"\nbase_url = "http://localhost:8000"\nplugins = ["under_test"]\n'
    )
    path.chmod(0o644)
    return Deployment(read_settings(path), directory, path)


SECRETS = {
    f'[security]\nencryption_keys = ["{KEY}"]': "[security] encryption_keys",
    '[database]\nurl = "postgres://me:geheim@h/db"': "[database] url",
    '[database]\nurl = "postgres://me@h/db"\nowner_url = "postgres://o:geheim@h/db"': "[database] owner_url",
    '[operations]\nmetrics_token = "0123456789abcdef"': "[operations] metrics_token",
}


@pytest.mark.parametrize("text", SECRETS)
async def test_configuration_file_with_secrets_is_a_warning_when_all_users_can_read_it(
    tmp_path: Path, text: str
) -> None:
    found = await run_local("configuration", written(tmp_path, text))
    assert found.state == "warn"
    assert f"every user of this machine can read the file, which contains {SECRETS[text]};" in found.message
    for secret in ("geheim", "AAAA", "0123456789abcdef"):
        assert secret not in found.message


async def test_configuration_file_with_secrets_is_ok_for_its_owner_only(tmp_path: Path) -> None:
    made_of = written(tmp_path, next(iter(SECRETS)))
    (tmp_path / "addon.toml").chmod(0o640)
    assert (await run_local("configuration", made_of)).state == "ok"


async def test_configuration_file_without_secrets_may_be_readable_by_all(tmp_path: Path) -> None:
    assert (await run_local("configuration", written(tmp_path, '[database]\nurl = "postgres://me@h/db"'))).state == "ok"


async def test_environment_variables_that_override_the_file_are_listed_without_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADDONKIT_DATABASE__URL", "sqlite://geheim.db")
    found = await run_local("configuration", written(tmp_path, ""))
    assert found.message.endswith("addon.toml, overridden by ADDONKIT_DATABASE__URL")


async def test_retention_of_zero_days_is_a_warning(tmp_path: Path) -> None:
    found = await run_local("configuration", written(tmp_path, "[tenants]\nretention_days = 0"))
    assert "retention_days is 0" in found.message


async def listening(directory: Path, *names: str, days: float = 90, **server: str) -> Result:
    """The result for a listener with a certificate for these names."""
    chain, key = Authority(directory).certify(*names, days=days)
    files = {"tls_certificate": str(chain), "tls_key": str(key), **server}
    return await run_local("listener", deployment(directory, **{**PUBLIC, "server": files}))


@pytest.mark.parametrize("name", [NAME, "*.example.com"])
async def test_listener_certificate_for_the_host_name_is_ok(tmp_path: Path, name: str) -> None:
    found = await listening(tmp_path, "www.example.com", name)
    assert (found.state, found.message) == ("ok", f"HTTPS for www.example.com, {name}")


CERTIFICATES: dict[str, tuple[dict[str, Any], str, str]] = {
    "another name": ({"names": ["*.kit.example.com"]}, "wrong", f"is not for '{NAME}', the name in [addon] base_url"),
    "an end in the past": ({"days": -1}, "wrong", "expired 2 days ago"),
    "an end soon": ({"days": 3.5}, "warn", "expires in 3 days"),
}


@pytest.mark.parametrize("case", CERTIFICATES)
async def test_listener_certificate_faults_are_reported(tmp_path: Path, case: str) -> None:
    changes, state, result = CERTIFICATES[case]
    options = dict(changes)
    found = await listening(tmp_path, *options.pop("names", [NAME]), **options)
    assert found.state == state
    assert result in found.message


@pytest.mark.parametrize(
    ("days", "state", "result"),
    [
        ((90, 60), "ok", "HTTPS for"),
        ((90, 20), "warn", "a certificate of 'chain.pem' expires in 19 days"),
        ((20, 90), "warn", "a certificate of 'chain.pem' expires in 19 days"),
        ((90, -1), "wrong", "a certificate of 'chain.pem' expired 2 days ago"),
        ((-1, 20), "wrong", "a certificate of 'chain.pem' expired 2 days ago"),
    ],
    ids=["ok", "another soon", "the first soon", "another in the past", "the first in the past"],
)
async def test_listener_certificates_of_a_chain_are_all_checked(
    tmp_path: Path, days: tuple[float, float], state: str, result: str
) -> None:
    authority = Authority(tmp_path)
    others, _ = authority.certify("Intermediate", days=days[1])
    other = others.read_text()
    chain, key = authority.certify(NAME, days=days[0])
    (tmp_path / "chain.pem").write_text(chain.read_text() + other)
    server = {"tls_certificate": "chain.pem", "tls_key": str(key)}
    found = await run_local("listener", deployment(tmp_path, **{**PUBLIC, "server": server}))
    assert found.state == state
    assert result in found.message


async def test_listener_key_that_all_users_can_read_is_a_warning(tmp_path: Path) -> None:
    chain, key = Authority(tmp_path).certify(NAME)
    key.chmod(0o644)
    server = {"tls_certificate": str(chain), "tls_key": str(key)}
    found = await run_local("listener", deployment(tmp_path, **{**PUBLIC, "server": server}))
    assert f"every user of this machine can read '{key}'" in found.message


async def test_listener_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    _, other = Authority(tmp_path).certify(NAME)
    (tmp_path / "other").mkdir()
    with pytest.raises(AddonkitError, match="the key does not belong to the certificate"):
        await listening(tmp_path / "other", NAME, tls_key=str(other))


@pytest.mark.parametrize(
    ("bind", "is_reported"),
    [
        ("0.0.0.0:9100", True),
        ("9.9.9.9:9100", True),
        ("[::]:9100", True),
        ("127.0.0.1:9100", False),
        ("10.0.0.7:9100", False),
        ("[::1]:9100", False),
        ("unix:/run/x.sock", False),
    ],
)
async def test_operations_listener_on_a_public_address_is_a_warning(
    tmp_path: Path, bind: str, is_reported: bool
) -> None:
    found = await run_local("listener", deployment(tmp_path, **PUBLIC, operations={"bind": bind}))
    assert ("where /metrics needs no token" in found.message) is is_reported


async def test_access_log_that_records_the_proxy_as_client_is_a_warning(tmp_path: Path) -> None:
    found = await run_local("listener", deployment(tmp_path, **PUBLIC, log={"access": True}))
    assert "list the proxy in [server] trusted_proxies" in found.message


async def test_listener_accepts_a_server_that_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("granian", reason="granian is an extra")
    found = await run_local("listener", deployment(tmp_path, **PUBLIC, server={"server": "granian"}))
    assert found.state == "ok"


@pytest.mark.parametrize(
    ("name", "stand_in", "message"),
    [
        ("addonkit.server.granian_server.find_spec", None, "is 'granian', which is not installed"),
        ("addonkit.pinned.metadata.version", "1.0", "granian 1.0 is installed, expected 2.8.7"),
    ],
    ids=["missing", "other version"],
)
async def test_listener_refuses_a_server_that_cannot_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, stand_in: str | None, message: str
) -> None:
    pytest.importorskip("granian", reason="granian is an extra")
    made_of = deployment(tmp_path, **PUBLIC, server={"server": "granian"})
    monkeypatch.setattr(name, lambda _: stand_in)
    with pytest.raises(AddonkitError, match=message):
        await run_local("listener", made_of)
