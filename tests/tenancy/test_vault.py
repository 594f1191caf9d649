"""The vault: encryption of secrets, bound to their client key and column."""

import pytest
from addonkit.errors import SettingsInvalid, VaultLocked
from addonkit.tenancy.vault import Vault, key_id_of

OLD, NEW = ("2025", b"o" * 32), ("2026", b"n" * 32)
PLACE = {"tenant_key": "site-1", "column": "shared_secret"}


def test_vault_decrypts_what_it_encrypted():
    vault = Vault([NEW])
    assert vault.decrypt(vault.encrypt(b"secret", **PLACE), **PLACE) == b"secret"


def test_vault_encrypts_with_the_first_key_and_writes_its_id():
    assert Vault([NEW, OLD]).encrypt(b"secret", **PLACE).startswith("v1.2026.")


def test_vault_encrypts_a_value_differently_each_time():
    vault = Vault([NEW])
    assert vault.encrypt(b"secret", **PLACE) != vault.encrypt(b"secret", **PLACE)


def test_vault_decrypts_with_an_older_key():
    encrypted = Vault([OLD]).encrypt(b"secret", **PLACE)
    assert Vault([NEW, OLD]).decrypt(encrypted, **PLACE) == b"secret"


def test_vault_error_names_a_missing_key_and_not_the_value():
    encrypted = Vault([OLD]).encrypt(b"secret", **PLACE)
    with pytest.raises(VaultLocked, match="'2025'") as caught:
        Vault([NEW]).decrypt(encrypted, **PLACE)
    assert encrypted.rpartition(".")[2] not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [{"tenant_key": "site-2", "column": "shared_secret"}, {"tenant_key": "site-1", "column": "former_secret"}],
)
def test_vault_does_not_decrypt_a_value_of_another_row_or_column(place):
    vault = Vault([NEW])
    with pytest.raises(VaultLocked, match="2026"):
        vault.decrypt(vault.encrypt(b"secret", **PLACE), **place)


def test_vault_does_not_decrypt_a_changed_value():
    vault = Vault([NEW])
    encrypted = vault.encrypt(b"secret", **PLACE)
    with pytest.raises(VaultLocked):
        vault.decrypt(encrypted[:-6] + ("AAAAAA" if encrypted[-6:] != "AAAAAA" else "BBBBBB"), **PLACE)


@pytest.mark.parametrize(
    "text", ["", "v1", "v1.2026", "v1.2026.", "v2.2026.AAAA", "v1.2026.!!!!", "v1.2026.AAAA", "secret"]
)
def test_vault_does_not_decrypt_malformed_text(text):
    with pytest.raises(VaultLocked):
        Vault([NEW]).decrypt(text, **PLACE)


def test_key_id_is_read_without_decrypting():
    assert key_id_of(Vault([NEW, OLD]).encrypt(b"secret", **PLACE)) == "2026"


@pytest.mark.parametrize("text", ["", "v1", "v1.2026", "v2.2026.AAAA", "secret"])
def test_key_id_of_malformed_text_is_empty(text):
    assert key_id_of(text) == ""


def test_key_ids_begin_with_the_first_key():
    assert Vault([NEW, OLD]).key_ids == ("2026", "2025")


def test_vault_repr_has_key_ids_and_no_keys():
    assert repr(Vault([NEW, OLD])) == "Vault(2026, 2025)"


@pytest.mark.parametrize("keys", [[], [("", b"n" * 32)], [("a.b", b"n" * 32)], [NEW, NEW], [("short", b"n" * 31)]])
def test_vault_refuses_unusable_keys(keys):
    with pytest.raises(SettingsInvalid):
        Vault(keys)


@pytest.mark.parametrize("version", ["v0", "v2", "V1", "", "v1 "])
def test_vault_does_not_decrypt_a_value_of_another_version(version):
    vault = Vault([NEW])
    encrypted = vault.encrypt(b"secret", **PLACE)
    with pytest.raises(VaultLocked, match=r"does not have the form 'v1\.<key id>\.<text>'"):
        vault.decrypt(encrypted.replace("v1", version, 1), **PLACE)


@pytest.mark.parametrize("text", ["v1.2026.", "v1.2026", "v1.", "v1", "v1.."])
def test_vault_says_that_a_value_without_text_has_another_form(text):
    with pytest.raises(VaultLocked, match="does not have the form"):
        Vault([NEW]).decrypt(text, **PLACE)
