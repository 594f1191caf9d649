"""Secrets at rest."""

import pytest
from addonkit.errors import SettingsInvalid, VaultLocked
from addonkit.tenancy.vault import Vault, key_id_of

OLD, NEW = ("2025", b"o" * 32), ("2026", b"n" * 32)
PLACE = {"client_key": "site-1", "column": "shared_secret"}


def test_what_is_sealed_opens_again():
    vault = Vault([NEW])
    assert vault.decrypt(vault.encrypt(b"secret", **PLACE), **PLACE) == b"secret"


def test_the_first_key_seals_and_its_id_is_shown():
    assert Vault([NEW, OLD]).encrypt(b"secret", **PLACE).startswith("v1.2026.")


def test_sealing_twice_gives_two_texts():
    vault = Vault([NEW])
    assert vault.encrypt(b"secret", **PLACE) != vault.encrypt(b"secret", **PLACE)


def test_an_older_key_still_opens():
    sealed = Vault([OLD]).encrypt(b"secret", **PLACE)
    assert Vault([NEW, OLD]).decrypt(sealed, **PLACE) == b"secret"


def test_a_missing_key_is_named_and_the_value_is_not():
    sealed = Vault([OLD]).encrypt(b"secret", **PLACE)
    with pytest.raises(VaultLocked, match="'2025'") as caught:
        Vault([NEW]).decrypt(sealed, **PLACE)
    assert sealed.rpartition(".")[2] not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [{"client_key": "site-2", "column": "shared_secret"}, {"client_key": "site-1", "column": "former_secret"}],
)
def test_a_value_moved_to_another_place_does_not_open(place):
    vault = Vault([NEW])
    with pytest.raises(VaultLocked, match="2026"):
        vault.decrypt(vault.encrypt(b"secret", **PLACE), **place)


def test_a_changed_value_does_not_open():
    vault = Vault([NEW])
    sealed = vault.encrypt(b"secret", **PLACE)
    with pytest.raises(VaultLocked):
        vault.decrypt(sealed[:-6] + ("AAAAAA" if sealed[-6:] != "AAAAAA" else "BBBBBB"), **PLACE)


@pytest.mark.parametrize(
    "text", ["", "v1", "v1.2026", "v1.2026.", "v2.2026.AAAA", "v1.2026.!!!!", "v1.2026.AAAA", "secret"]
)
def test_what_is_no_sealed_value_does_not_open(text):
    with pytest.raises(VaultLocked):
        Vault([NEW]).decrypt(text, **PLACE)


def test_a_sealed_value_tells_its_key_without_being_opened():
    assert key_id_of(Vault([NEW, OLD]).encrypt(b"secret", **PLACE)) == "2026"


@pytest.mark.parametrize("text", ["", "v1", "v1.2026", "v2.2026.AAAA", "secret"])
def test_what_is_no_sealed_value_tells_no_key(text):
    assert key_id_of(text) == ""


def test_keys_are_told_with_the_sealing_one_first():
    assert Vault([NEW, OLD]).key_ids == ("2026", "2025")


def test_a_repr_shows_ids_and_no_key():
    assert repr(Vault([NEW, OLD])) == "Vault(2026, 2025)"


@pytest.mark.parametrize("keys", [[], [("", b"n" * 32)], [("a.b", b"n" * 32)], [NEW, NEW], [("short", b"n" * 31)]])
def test_keys_that_cannot_be_used_are_refused(keys):
    with pytest.raises(SettingsInvalid):
        Vault(keys)
