"""Shared secrets: checked once, when they are read; no key of another kind ever becomes one."""

import base64
import copy
import datetime
import json
import string

import pytest
from addonkit.errors import TokenInvalid
from addonkit.protocol import sign, verify
from addonkit.protocol.keys import _PLAIN_SECRET, MIN_SECRET, Secret, checked_secret, usable_secret
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jwt import InvalidKeyError
from jwt.algorithms import HMACAlgorithm

SECRET = b"the secret of one site, long enough for HS256"
ALPHABET = string.ascii_letters + string.digits + "+/=_.-~"
NOW = 1_800_000_000
CLAIMS = {"iss": "client-1", "iat": NOW, "exp": NOW + 180}


def _certificate(key, encoding):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kit")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=1))
    )
    return built.sign(key, SHA256()).public_bytes(encoding)


def _foreign_keys():
    """Yield the name and the bytes of keys and certificates that are no shared secrets."""
    key, curve = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    edwards = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key()
    yield "RSA in PEM", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    yield "RSA in PKCS #1", public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    yield "RSA in DER", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    yield "RSA in SSH format", public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    yield "curve in PEM", curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    yield "curve in DER", curve.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    yield "Ed25519 in SSH format", edwards.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    yield "private key in PEM", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    yield "certificate in PEM", _certificate(key, Encoding.PEM)
    yield "certificate in DER", _certificate(key, Encoding.DER)
    yield "PEM after other text", b"\n# key\n" + public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET).decode()}
    yield "JWK", json.dumps(jwk).encode()
    yield "JWK set", json.dumps({"keys": [jwk]}).encode()


FOREIGN = dict(_foreign_keys())
NAMES = (
    "RSA in PEM",
    "RSA in PKCS #1",
    "RSA in DER",
    "RSA in SSH format",
    "curve in PEM",
    "curve in DER",
    "Ed25519 in SSH format",
    "private key in PEM",
    "certificate in PEM",
    "certificate in DER",
    "PEM after other text",
    "JWK",
    "JWK set",
)


@pytest.mark.parametrize("name", NAMES)
def test_foreign_key_is_no_secret_however_it_is_passed(name):
    key = FOREIGN[name]
    with pytest.raises(InvalidKeyError):
        Secret(key)
    stored = checked_secret(key)
    assert (stored, type(stored)) == (key, bytes)
    signed = sign(CLAIMS, SECRET)
    for passed in (key, stored):
        with pytest.raises(TokenInvalid, match="does not verify with the issuer's key"):
            verify(signed, passed, "HS256", issuer="client-1", audiences=[], now=NOW)
        with pytest.raises(TokenInvalid, match="cannot sign"):
            sign(CLAIMS, passed)


@settings(max_examples=500, deadline=None)
@given(st.from_regex(_PLAIN_SECRET.pattern, fullmatch=True) | st.binary(min_size=32, max_size=64))
@example(b"0" * 40)
@example(b"0AAAA0" * 8)
@example(b"-----BEGIN-PUBLIC-KEY-----" + b"A" * 20 + b"-----END-PUBLIC-KEY-----")
@example(b"1" * 40)
@example(b"ssh-rsa" + b"A" * 40)
def test_secret_without_a_full_check_is_one_that_pyjwt_accepts(key):
    if len(key) >= MIN_SECRET and _PLAIN_SECRET.fullmatch(key):
        assert HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(key) == key


@pytest.mark.parametrize(
    "key", [b"", b"x" * (MIN_SECRET - 1), SECRET.decode(), bytearray(SECRET), memoryview(SECRET), None]
)
def test_secret_of_another_type_or_length_is_refused(key):
    with pytest.raises(TokenInvalid, match="not bytes"):
        Secret(key)
    with pytest.raises(TokenInvalid, match="not bytes"):
        usable_secret(key)


def test_stored_secret_that_is_too_short_is_refused_at_each_use():
    stored = checked_secret(b"short")
    assert (stored, type(stored)) == (b"short", bytes)
    for _ in range(2):
        with pytest.raises(TokenInvalid, match="not bytes"):
            verify(sign(CLAIMS, SECRET), stored, "HS256", issuer="client-1", audiences=[], now=NOW)


PARTS = [
    b"ssh-rsa",
    b"ssh-ed25519",
    b"ecdsa-sha2-nistp256",
    b"-----BEGIN",
    b"PUBLIC",
    b"KEY-----",
    b"-----END",
    b"0Y0",
    b"{}",
]


@given(st.lists(st.sampled_from(PARTS) | st.binary(max_size=12) | st.text(ALPHABET).map(str.encode)).map(b"".join))
@example(b"ssh-rsa" + b"A" * 40)
@example(b"1" * 40)
@example(b"null" + b" " * 40)
def test_secret_is_accepted_exactly_if_pyjwt_accepts_it(key):
    key = key.ljust(MIN_SECRET, b"A")
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(key)
    except InvalidKeyError:
        with pytest.raises(InvalidKeyError):
            Secret(key)
    else:
        assert Secret(key) == key


def test_ordinary_secret_is_not_searched_for_other_keys(monkeypatch):
    monkeypatch.setattr(HMACAlgorithm, "prepare_key", None)
    assert Secret(b"ATCOv2_" + b"aZ09+/=_.-~" * 4)


def test_secret_is_checked_once_and_used_often(monkeypatch):
    checks = []
    real = HMACAlgorithm.prepare_key
    monkeypatch.setattr(HMACAlgorithm, "prepare_key", lambda self, key: checks.append(1) or real(self, key))
    secret = checked_secret(SECRET)
    assert len(checks) == 1
    token = sign(CLAIMS, secret)
    for _ in range(3):
        verify(token, secret, "HS256", issuer="client-1", audiences=[], now=NOW)
        sign(CLAIMS, secret)
    assert len(checks) == 1
    verify(token, SECRET, "HS256", issuer="client-1", audiences=[], now=NOW)
    assert len(checks) == 2


def test_secret_equals_its_bytes_and_signs_as_they_do():
    secret = Secret(SECRET)
    assert secret == SECRET
    assert hash(secret) == hash(SECRET)
    assert sign(CLAIMS, secret) == sign(CLAIMS, SECRET)
    assert type(copy.copy(secret)) is Secret


@pytest.mark.parametrize(
    "shown", [repr, str, "{}".format, "{!r}".format, lambda one: f"{one}", lambda one: repr([one])]
)
def test_secret_is_never_shown(shown):
    assert "secret of one site" not in shown(Secret(SECRET))
