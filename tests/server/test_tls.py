"""HTTPS and HTTP/2: certificates from files, and the add-on behind them."""

import asyncio
import datetime
import ssl
from contextlib import asynccontextmanager, nullcontext

import httpx2
import pytest
import pytest_asyncio
from addonkit.errors import SettingsInvalid
from addonkit.server.hypercorn_server import HypercornServer
from addonkit.server.sockets import bound_socket
from addonkit.server.tls import load_tls
from addonkit.settings import read_settings
from addonkit.settings.sections import ServerSettings
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from tests.distributions.strangers import run, write_config
from tests.support.served import configure, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITHOUT = "/under_test/overview"


def write_pair(directory, name="localhost", password=None):
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    sealed = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    certificate, secret = directory / f"{name}.pem", directory / f"{name}.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed))
    return {"tls_certificate": certificate.name, "tls_key": secret.name}


def refusal(directory, **settings):
    with pytest.raises(SettingsInvalid) as refused:
        load_tls(ServerSettings(**settings), directory)
    return str(refused.value)


async def test_certificate_without_its_key_is_refused():
    addon = {"key": "k", "name": "n", "base_url": "http://localhost:8000", "plugins": ["a"]}
    with pytest.raises(SettingsInvalid, match="tls_certificate is set without tls_key; set both, or neither"):
        read_settings(None, {"addon": addon, "server": {"tls_certificate": "a.pem"}})


async def test_tls_is_off_without_a_certificate(tmp_path):
    assert load_tls(ServerSettings(), tmp_path) is None


async def test_certificate_file_that_is_missing_is_named(tmp_path):
    pair = write_pair(tmp_path)
    assert refusal(tmp_path, **{**pair, "tls_key": "gone.key"}) == (
        f"[server] tls_key is '{tmp_path}/gone.key', which cannot be read: No such file or directory; "
        "set [server] tls_certificate and tls_key to a PEM certificate and its key"
    )


async def test_key_of_another_certificate_is_refused(tmp_path):
    pair, other = write_pair(tmp_path), write_pair(tmp_path, "other")
    said = refusal(tmp_path, **{**pair, "tls_key": other["tls_key"]})
    assert "cannot be used: the key does not belong to the certificate; set [server]" in said


async def test_certificate_file_with_other_content_is_refused(tmp_path):
    pair = write_pair(tmp_path)
    (tmp_path / "localhost.pem").write_text("hello")
    assert "cannot be used: " in refusal(tmp_path, **pair)


async def test_key_with_a_password_is_refused_without_a_prompt(tmp_path):
    pair = write_pair(tmp_path, password=b"open sesame")
    assert "localhost.key' is encrypted; use a key without a password" in refusal(tmp_path, **pair)


async def test_serve_reports_an_unusable_certificate_in_one_sentence(tmp_path):
    write_config(tmp_path, "stranger_notes", more='[server]\ntls_certificate = "a.pem"\ntls_key = "a.key"\n')
    said = await asyncio.to_thread(run, tmp_path, "serve", "--bind", "127.0.0.1:0")
    assert said.sentence.startswith(f"[server] tls_certificate is '{tmp_path}/a.pem', which cannot be read")


def trusting(directory, **options):
    context = ssl.create_default_context(cafile=directory / "localhost.pem")
    return httpx2.AsyncClient(verify=context, trust_env=False, timeout=20, **options)


@pytest.mark.parametrize("server", ["hypercorn", "granian"])
async def test_serve_speaks_http_2_and_1_over_tls(tmp_path, server):
    if server == "granian":
        pytest.importorskip("granian", reason="granian is an extra")
    configure(tmp_path, server={"drain_s": 0, **write_pair(tmp_path)})
    async with serving(tmp_path, "--server", server) as served:
        url = f"https://localhost:{served.address.rpartition(':')[2]}/stranger_slow/wait"
        for speaks, version in ((True, "HTTP/2"), (False, "HTTP/1.1")):
            async with trusting(tmp_path, http2=speaks) as client:
                answer = await client.get(url)
            assert (answer.status_code, answer.http_version) == (200, version)


class Plain:
    """An application that is asked nothing by this test."""

    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def fronted(app, directory):
    """A front on TLS, and its port."""
    listener = bound_socket("127.0.0.1:0")
    port = listener.getsockname()[1]
    front = HypercornServer(app, listener, load_tls(ServerSettings(**write_pair(directory)), directory))
    await front.open()
    try:
        yield front, port
    finally:
        front.close(0)
        await front.abort()


@pytest.mark.parametrize(("version", "is_taken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
async def test_tls_is_1_2_or_later(tmp_path, version, is_taken):
    async with fronted(Plain(), tmp_path) as (_, port):
        context = ssl.create_default_context(cafile=tmp_path / "localhost.pem")
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with nullcontext() if is_taken else pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
        connecting = asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        if not is_taken:
            with pytest.raises((ssl.SSLError, OSError)):
                await connecting
            return
        _, writer = await connecting
        assert writer.get_extra_info("ssl_object").version() == version.replace("_", ".")
        writer.close()


class Talk:
    """One connection of HTTP/2, word for word."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None, validate_outbound_headers=False))
        self.answers = {}
        self.ended = set()
        self.is_over = False
        self.h2.initiate_connection()

    def ask(self, path, *headers, method="GET", body=b""):
        """Send a request, and give its stream."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        self.h2.send_headers(stream, [*pseudo, *headers], end_stream=not body)
        for place in range(0, len(body), 16_000):
            self.h2.send_data(stream, body[place : place + 16_000], end_stream=place + 16_000 >= len(body))
        return stream

    async def answer(self, stream):
        """The status and the body of an answer; a status of 0 if there was none."""
        while stream not in self.ended and not await self._read():
            continue
        return self.answers.get(stream, (0, b""))

    async def told_to_go(self):
        """Wait for the word that no more requests are welcome."""
        while not self.is_over:
            assert not await self._read()

    async def _read(self):
        """Take in what comes; whether there will be no more."""
        self._writer.write(self.h2.data_to_send())
        async with asyncio.timeout(10):
            data = await self._reader.read(65536)
        for event in self.h2.receive_data(data) if data else ():
            self._note(event)
        return not data

    def _note(self, event):
        if isinstance(event, ResponseReceived):
            self.answers[event.stream_id] = (int(dict(event.headers)[b":status"]), b"")
        elif isinstance(event, DataReceived):
            status, body = self.answers[event.stream_id]
            self.answers[event.stream_id] = (status, body + event.data)
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded | StreamReset):
            self.ended.add(event.stream_id)
        elif isinstance(event, ConnectionTerminated):
            self.is_over = True


@asynccontextmanager
async def talking(directory, port):
    context = ssl.create_default_context(cafile=directory / "localhost.pem")
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        yield Talk(reader, writer)
    finally:
        writer.transport.abort()


@pytest_asyncio.fixture(loop_scope="module")
async def talk(wire, tmp_path):
    async with fronted(wire.addon, tmp_path) as (_, port), talking(tmp_path, port) as talk:
        yield talk


async def test_http2_serves_a_signed_page(wire, talk):
    token = wire.token("GET", WITHOUT)
    status, body = await talk.answer(talk.ask(f"{WITHOUT}?jwt={token}"))
    assert (status, body.partition(b" ")[0]) == (200, b"overview")


async def test_http2_accepts_a_token_in_the_header(wire, talk):
    token = wire.token("GET", WITHOUT)
    assert (await talk.answer(talk.ask(WITHOUT, ("authorization", f"JWT {token}"))))[0] == 200


async def test_http2_refuses_two_credentials(wire, talk):
    token = wire.token("GET", WITHOUT)
    twice = [("authorization", f"JWT {token}")] * 2
    assert (await talk.answer(talk.ask(WITHOUT, *twice)))[0] == 401
    assert (await talk.answer(talk.ask(f"{WITHOUT}?jwt={token}", twice[0])))[0] == 401


@pytest.mark.parametrize("path", ["//under_test/overview", "/under_test/../under_test/overview", "/under_test/%2e/x"])
async def test_http2_does_not_find_ambiguous_paths(talk, path):
    assert (await talk.answer(talk.ask(path)))[0] == 404


async def test_http2_transfers_a_whole_body(wire, talk):
    session = await wire.session()
    headers = [("authorization", f"Session {session}"), ("content-type", "application/json")]
    body = b'{"note": {"text": "' + b"x" * 50_000 + b'"}}'
    status, said = await talk.answer(talk.ask("/under_test/notes", *headers, method="POST", body=body))
    assert (status, said.strip()) == (200, b'{"length":50000}')


@pytest.mark.parametrize(
    "path", [b"/\xff\xfe", "*", "", "http://localhost/under_test/overview"], ids=["bytes", "star", "empty", "absolute"]
)
async def test_http2_with_a_malformed_path_does_not_affect_other_connections(tmp_path, wire, path):
    async with fronted(wire.addon, tmp_path) as (_, port):
        async with talking(tmp_path, port) as strange:
            assert (await strange.answer(strange.ask(path)))[0] in (0, 400, 404)
        async with talking(tmp_path, port) as talk:
            assert (await talk.answer(talk.ask("/atlassian-connect.json")))[0] == 200


async def test_http2_refuses_websockets(talk):
    stream = talk.ask(WITHOUT, (":protocol", "websocket"), method="CONNECT")
    assert (await talk.answer(stream))[0] in (0, 400, 403)


async def test_http2_connection_serves_many_requests(talk):
    for _ in range(1100):
        assert (await talk.answer(talk.ask("/atlassian-connect.json")))[0] == 200


async def test_goaway_is_sent_before_a_connection_reaches_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("addonkit.server.hypercorn_server.MAX_REQUESTS", 20)
    async with fronted(Plain(), tmp_path) as (_, port), talking(tmp_path, port) as talk:
        for _ in range(20):
            assert await talk.answer(talk.ask("/")) == (200, b"ok")
        await talk.told_to_go()


async def test_goaway_is_sent_to_idle_connections_at_shutdown(tmp_path):
    async with fronted(Plain(), tmp_path) as (front, port), talking(tmp_path, port) as talk:
        assert await talk.answer(talk.ask("/")) == (200, b"ok")
        front.drain()
        await talk.told_to_go()


async def test_http2_requests_in_progress_are_completed_at_shutdown(tmp_path):
    door = asyncio.Event()

    class Slow(Plain):
        async def __call__(self, scope, receive, send):
            door.reached.set()
            await door.wait()
            await super().__call__(scope, receive, send)

    door.reached = asyncio.Event()
    async with fronted(Slow(), tmp_path) as (front, port), talking(tmp_path, port) as talk:
        stream = talk.ask("/")
        answering = asyncio.create_task(talk.answer(stream))
        await door.reached.wait()
        front.drain()
        door.set()
        assert await answering == (200, b"ok")
