"""The location of a database: URLs are validated, and no message repeats a password."""

import pytest
from addonkit.database.location import Location, database_path, is_postgres
from addonkit.database.server_url import parse_server_url
from addonkit.errors import SettingsInvalid

SERVER = "postgres://app:hunter2@db.example.com:5433/kit"
OWNER = "postgres://owner:hunter2@db.example.com:5433/kit"


def test_sqlite_path_is_relative_to_the_configuration(tmp_path):
    assert database_path("sqlite://addonkit.db", tmp_path) == tmp_path / "addonkit.db"


def test_sqlite_path_may_be_absolute(tmp_path):
    assert database_path(f"sqlite://{tmp_path}/x.db") == tmp_path / "x.db"


@pytest.mark.parametrize("url", ["mysql://me:hunter2@host/db", "me:hunter2@host/db", "addonkit.db", ""])
def test_url_with_another_scheme_is_refused_without_its_password(url):
    with pytest.raises(SettingsInvalid, match=r"url (begins with|has no scheme).*expected 'sqlite://") as caught:
        Location(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite://:memory:", "sqlite://x.db?journal_mode=OFF"])
def test_url_without_a_plain_file_is_refused(url):
    with pytest.raises(SettingsInvalid, match="does not name a plain file"):
        Location(url)


SHOWN = {
    SERVER: "postgres://app@db.example.com:5433/kit",
    "postgresql://app@db/kit": "postgres://app@db/kit",
    "postgres://app:hunter2@/kit?host=/run/postgresql": "postgres://app@/run/postgresql/kit",
    "postgres:///kit?user=app": "postgres://app@localhost/kit",
    "postgres://app:hunter2%40%2F@[::1]:5432/kit?sslmode=require": "postgres://app@[::1]:5432/kit",
    "postgres://app:hunter2@one:5432,two:5433/kit": "postgres://app@one:5432,two:5433/kit",
    "postgres://app:hunter2@one,two/kit?target_session_attrs=read-write": "postgres://app@one,two/kit",
    "postgres://app:hunter2@[::1]:5432,[2001:db8::2]/kit": "postgres://app@[::1]:5432,[2001:db8::2]/kit",
    "postgres://app:hunter2@one,[::1]:5433,10.0.0.3/kit": "postgres://app@one,[::1]:5433,10.0.0.3/kit",
    "postgres://app:hunter2@%2Frun%2Fone,two:5433/kit": "postgres://app@/run/one,two:5433/kit",
    "postgres://app:hunter2@/kit?host=/run/one,/run/two&port=5432,5433": "postgres://app@/run/one:5432,/run/two:5433/kit",
    "postgres://app:hunter2@/kit?host=one,::1,[::2]&port=5433": "postgres://app@one:5433,[::1]:5433,[::2]:5433/kit",
    "postgres://app:hunter2@/kit?host=one:5432,two:5433": "postgres://app@one:5432,two:5433/kit",
}


@pytest.mark.parametrize("url", SHOWN)
def test_server_url_is_shown_without_its_password(url):
    assert is_postgres(url)
    assert str(Location(url)) == SHOWN[url]
    assert "hunter2" not in repr(Location(url, OWNER))


@pytest.mark.parametrize(
    "url",
    [
        "postgres://app:hunter2@host",
        "postgres://:hunter2@host/kit",
        "postgres://host/kit?password=hunter2",
        "postgres://app:hunter2#x@host/kit",
        "postgres://app:hunter2/x@host/kit",
        "postgres://app:hunter2@x@host/kit",
        "postgres://app:hunter2?x@host/kit",
        "postgres://app:1234/hunter2@host/kit",
        "postgres://app:x@host:hunter2/kit",
        "postgres://app:x@[hunter2/kit",
        "postgres://app:x@host/kit?hunter2",
    ],
)
def test_server_url_that_cannot_be_parsed_is_refused_and_not_repeated(url):
    with pytest.raises(SettingsInvalid, match=r"\[database\] url (cannot be parsed|has no \w+); use") as caught:
        Location(url)
    assert "hunter2" not in str(caught.value)


WRONG_SERVERS = {
    "empty-host": ("postgres://app:hunter2@one,,two/kit", "an empty host beside a comma"),
    "trailing-comma": ("postgres://app:hunter2@one,/kit", "an empty host beside a comma"),
    "port-0": ("postgres://app:hunter2@one:0,two/kit", "a port that is not a number from 1 to 65535"),
    "port-too-large": ("postgres://app:hunter2@one,two:65536/kit", "a port that is not a number from 1 to 65535"),
    "port-no-number": ("postgres://app:hunter2@/kit?host=one&port=x", "a port that is not a number from 1 to 65535"),
    "too-few-ports": ("postgres://app:hunter2@/kit?host=a,b,c&port=1,2", "3 hosts but 2 ports"),
    "no-address-in-brackets": ("postgres://app:hunter2@[one],[two]/kit", "cannot be parsed"),
    "no-brackets": ("postgres://app:hunter2@::1,two/kit", "cannot be parsed"),
    "unknown-target": ("postgres://app:hunter2@one,two/kit?target_session_attrs=rw", "unknown target_session_attrs"),
    "standby": ("postgres://app:hunter2@one/kit?target_session_attrs=standby", "refuses writes; use read-write"),
    "read-only": ("postgres://app:hunter2@one,two/kit?target_session_attrs=read-only", "refuses writes"),
    "prefer-standby": ("postgres://app:hunter2@one,two/kit?target_session_attrs=prefer-standby", "refuses writes"),
}


@pytest.mark.parametrize("case", WRONG_SERVERS)
def test_server_url_with_wrong_servers_is_refused_and_not_repeated(case):
    url, message = WRONG_SERVERS[case]
    with pytest.raises(SettingsInvalid, match=message) as caught:
        Location(url)
    assert "hunter2" not in str(caught.value)
    assert "[database] url has" in str(caught.value) or "[database] url cannot" in str(caught.value)


TARGETS = {
    "postgres://app@one/kit": None,
    "postgres://app@/kit?host=/run/one": None,
    "postgres://app@one/kit?target_session_attrs=prefer-standby": "prefer-standby",
    "postgres://app@one,two/kit": "read-write",
    "postgres://app@/kit?host=one,two": "read-write",
    "postgres://app@one,two/kit?target_session_attrs=primary": "primary",
    "postgres://app@one,two/kit?target_session_attrs=any": "any",
}


@pytest.mark.parametrize("url", TARGETS)
def test_server_url_with_several_servers_means_the_one_that_can_be_written(url):
    assert parse_server_url(url).target == TARGETS[url]


def test_url_error_names_the_settings_key():
    with pytest.raises(SettingsInvalid, match=r"\[database\] owner_url has no role"):
        Location(SERVER, "postgres://db.example.com/kit")


def test_owner_url_is_for_postgresql_only():
    with pytest.raises(SettingsInvalid, match="owner_url is set, but url is not"):
        Location("sqlite://addonkit.db", OWNER)
    with pytest.raises(SettingsInvalid, match="owner_url is not a PostgreSQL URL"):
        Location(SERVER, "sqlite://addonkit.db")


def test_owner_url_must_have_the_same_database():
    with pytest.raises(SettingsInvalid, match="different databases"):
        Location(SERVER, "postgres://owner:hunter2@db.example.com/other")


def test_row_security_needs_two_roles():
    assert Location(SERVER, OWNER).has_row_security
    assert not Location(SERVER, SERVER).has_row_security
    assert not Location(SERVER).has_row_security
    assert not Location("sqlite://addonkit.db").has_row_security
