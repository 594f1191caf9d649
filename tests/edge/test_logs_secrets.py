"""No token, secret or body in logs, metrics and refusals."""

import logging

import pytest
import pytest_asyncio
import structlog
from addonkit.cli.logs import configure
from addonkit.settings import LogSettings
from addonkit.testing import Site
from addonkit.testing.site import fresh_secret

from tests.support.plugin_under_test import REASON, running_addon
from tests.support.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")
METRICS_TOKEN = "what-opens-the-metrics-0123456789"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory):
    """An add-on with the access log and metrics on."""
    settings = {"log": {"access": True}, "operations": {"metrics_token": METRICS_TOKEN}}
    async with running_addon(tmp_path_factory.mktemp("addon"), **settings) as running:
        yield running


def configured(form="json", level="info"):
    """Configure the log as a deployment with the test plugin does."""
    configure(LogSettings(format=form, level=level, access=True), ["tests"])


async def whole_run(wire):
    """Make valid and invalid requests of all kinds; return the secrets used and the responses."""
    site = Site(wire.host.keys, "jira", "http://127.0.0.1:9000")
    token, body = wire.installed(site)
    hidden, answers = [token, site.shared_secret], []
    answers += [await wire.send_lifecycle("installed", token, body) for _ in range(2)]
    for event in ("installed", "enabled", "disabled", "uninstalled"):
        answers.append(await wire.send_lifecycle(event, token + "x", body))
        answers.append(await wire.send_lifecycle(event, None, body))
    page, context = wire.token("GET", PAGE, site), site.context_token("acc-1")
    session = await wire.session(site=site)
    hidden += [page, context, session]
    for credential in (page, context, session, page + "x", session + "x", "x.y.z"):
        answers.append(await wire.ask("GET", f"{PAGE}&jwt={credential}"))
        answers.append(await wire.ask("GET", f"{PAGE}9&jwt={credential}"))
        for scheme in ("JWT", "Session", "Bearer"):
            answers.append(await wire.send(f"{scheme} {credential}", "GET", "/under_test/issue"))
            answers.append(await wire.send(f"{scheme} {credential}", "GET", f"{PAGE}&jwt={credential}"))
            posted = f'{{"session": "{session}"}}'.encode()
            answers.append(await wire.send(f"{scheme} {credential}", "POST", "/addonkit/session", posted))
    failing = wire.token("GET", "/under_test/failing", site)
    answers.append(await wire.ask("GET", f"/under_test/failing?jwt={failing}"))
    site.shared_secret = fresh_secret()[:31]
    hidden += [failing, site.shared_secret]
    answers.append(await wire.send_lifecycle("installed", *wire.installed(site)))
    return hidden, answers


def parts(hidden):
    """Return the secrets and the signatures of tokens, which are as sensitive as the tokens."""
    return {piece for text in hidden for piece in (text, text.rpartition(".")[2]) if len(piece) > 20}


async def test_log_has_no_token_and_no_secret(wire, capfd, caplog):
    with structlog.testing.capture_logs() as logs:
        hidden, _ = await whole_run(wire)
    out, err = capfd.readouterr()
    written = f"{logs!r}{out}{err}{caplog.text}"
    assert len([entry for entry in logs if entry["event"] == "request.refused"]) > 20
    assert not [piece for piece in parts(hidden) if piece in written]


async def test_log_of_a_failure_has_the_traceback_without_the_token(wire, capsys):
    token = wire.token("GET", "/under_test/failing")
    await wire.ask("GET", f"/under_test/failing?jwt={token}")
    written = capsys.readouterr().out
    assert "RuntimeError" in written
    assert token.rpartition(".")[2] not in written


async def test_refusal_contains_no_token_secret_or_site(wire):
    hidden, answers = await whole_run(wire)
    found = "".join(answer.text + repr(answer.headers) for answer in answers if answer.status >= 400)
    assert not [piece for piece in parts(hidden) if piece in found]
    assert wire.site.client_key not in found


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
async def test_refusal_is_the_same_for_every_invalid_credential(wire, accept):
    unknown = Site(wire.host.keys, "jira", "http://127.0.0.1:9000")
    tokens = [wire.token("GET", PAGE, unknown), wire.token("GET", "/other"), "x.y.z"]
    answers = [await wire.ask("GET", f"{PAGE}&jwt={token}", [("accept", accept)]) for token in tokens]
    texts = {answer.text.replace(answer.header("x-request-id"), "") for answer in answers}
    assert ([answer.status for answer in answers], len(texts)) == ([401] * 3, 1)


@pytest.mark.parametrize("form", ["json", "console"])
async def test_log_of_a_failing_handler_omits_its_variables(wire, capfd, form):
    configure(LogSettings(format=form))
    session = await wire.session(site=wire.host.site)
    body = b'{"text": "PRIVATE-BODY"}'
    answer = await wire.send(f"Session {session}", "POST", "/under_test/breaking", body, "application/json")
    written = capfd.readouterr().err
    assert answer.status == 500
    assert "handler.failed" in written
    assert not [piece for piece in (*parts([session]), "PRIVATE-BODY") if piece in written]


async def test_log_masks_a_token_in_a_message(wire, capfd):
    token = wire.token("GET", PAGE)
    for form in ("json", "console"):
        configured(form)
        logging.getLogger("some.library").error("GET https://kit/page?jwt=%s failed", token)
        structlog.get_logger().error("failed", url=f"https://kit/page?jwt={token}&a=b")
        try:
            raise RuntimeError(f"no answer from https://kit/page?jwt={token}")
        except RuntimeError:
            structlog.get_logger().exception("failed")
    written = capfd.readouterr().err
    assert written.count("<token>") == 6
    assert not [piece for piece in parts([token]) if piece in written]


async def everything(wire):
    """Make all requests of ``whole_run``, reinstalls, failures and operator requests; return the secrets used."""
    hidden, _ = await whole_run(wire)
    opened = await wire.host.open("under-test-page", issue={"key": "AB-1", "id": "1"})
    await opened.fetch("who")
    await opened.renew()
    site = await wire.host.install()
    await wire.host.reinstall(site)
    for form in (b"text=secret-of-a-form", b"jwt=x"):
        kind = "application/x-www-form-urlencoded"
        await wire.send(f"JWT {wire.token('POST', '/under_test/drawn', site)}", "POST", "/under_test/drawn", form, kind)
    await wire.host.uninstall(site)
    path_token = wire.token("GET", PAGE)
    for path in (f"/under_test/{path_token}", f"/{path_token}", f"/under_test/static/{path_token}", "//", "/%2e%2e/"):
        await wire.ask("GET", path, [("referer", f"https://site/?jwt={path_token}"), ("user-agent", path_token)])
    for scheme in ("Bearer", "Basic", "JWT"):
        for secret in (METRICS_TOKEN, f"{METRICS_TOKEN}x"):
            await wire.ask("GET", "/metrics", [("authorization", f"{scheme} {secret}")])
    await wire.ask("GET", f"/metrics?token={METRICS_TOKEN}")
    for path in ("/readyz", "/healthz", "/under_test/talking", "/under_test/hanging", "/under_test/failing"):
        await wire.open(path)
    return [*hidden, opened.session, site.shared_secret, path_token, METRICS_TOKEN, "secret-of-a-form"]


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("level", ["debug", "info", "error"])
async def test_log_of_everything_has_no_secret(wire, capfd, form, level):
    capfd.readouterr()
    configured(form, level)
    secrets = await everything(wire)
    out, err = capfd.readouterr()
    written = out + err
    assert written.count("request.completed") > 100
    assert "Traceback" in written or '"exc_type"' in written
    assert REASON in written
    found = [piece for piece in {*parts(secrets), "logged-by-a-library"} if piece in written]
    assert found == []
    for word in ("Authorization: Bearer " + METRICS_TOKEN[:5], "jwt=ey", "Session ey", "JWT ey"):
        assert word not in written


async def test_metrics_of_everything_have_no_secret(wire):
    secrets = await everything(wire)
    found = await wire.ask("GET", "/metrics", [("authorization", f"Bearer {METRICS_TOKEN}")])
    assert found.status == 200
    hidden = {*parts(secrets), wire.site.client_key, "acc-1", "AB-1"}
    assert not [piece for piece in hidden if piece in found.text]
