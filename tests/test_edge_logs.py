"""What is written down: the reason, the site and the request, never a token, a secret or a body."""

import pytest
import structlog
from addonkit.cli.logs import configure
from addonkit.settings import LogSettings
from addonkit.testing import Site
from addonkit.testing.site import fresh_secret

from tests.wire import PAGE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def whole_run(wire):
    """Everything that may go well or wrong; gives what must be found nowhere, and the answers that refuse."""
    site = Site(wire.host.keys, "jira", "http://127.0.0.1:9000")
    token, body = wire.installed(site)
    hidden, answers = [token, site.shared_secret], []
    answers += [await wire.tell("installed", token, body) for _ in range(2)]
    for event in ("installed", "enabled", "disabled", "uninstalled"):
        answers.append(await wire.tell(event, token + "x", body))
        answers.append(await wire.tell(event, None, body))
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
    answers.append(await wire.tell("installed", *wire.installed(site)))
    return hidden, answers


def parts(hidden):
    """What would give it away: a signature is as good as its token."""
    return {piece for text in hidden for piece in (text, text.rpartition(".")[2]) if len(piece) > 20}


async def test_no_token_and_no_secret_is_logged(wire, capfd, caplog):
    with structlog.testing.capture_logs() as logs:
        hidden, _ = await whole_run(wire)
    out, err = capfd.readouterr()
    written = f"{logs!r}{out}{err}{caplog.text}"
    assert len([entry for entry in logs if entry["event"] == "refused"]) > 20
    assert not [piece for piece in parts(hidden) if piece in written]


async def test_a_failure_is_logged_in_full_and_without_the_token(wire, capsys):
    token = wire.token("GET", "/under_test/failing")
    await wire.ask("GET", f"/under_test/failing?jwt={token}")
    written = capsys.readouterr().out
    assert "RuntimeError" in written
    assert token.rpartition(".")[2] not in written


async def test_no_refusal_tells_a_token_a_secret_or_a_site(wire):
    hidden, answers = await whole_run(wire)
    told = "".join(answer.text + repr(answer.headers) for answer in answers if answer.status >= 400)
    assert not [piece for piece in parts(hidden) if piece in told]
    assert wire.site.client_key not in told


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
async def test_all_refusals_of_a_credential_read_the_same(wire, accept):
    unknown = Site(wire.host.keys, "jira", "http://127.0.0.1:9000")
    tokens = [wire.token("GET", PAGE, unknown), wire.token("GET", "/other"), "x.y.z"]
    answers = [await wire.ask("GET", f"{PAGE}&jwt={token}", [("accept", accept)]) for token in tokens]
    texts = {answer.text.replace(answer.header("x-request-id"), "") for answer in answers}
    assert ([answer.status for answer in answers], len(texts)) == ([401] * 3, 1)


async def refusal(wire, target):
    with structlog.testing.capture_logs() as logs:
        answer = await wire.ask("GET", target)
    (entry,) = [entry for entry in logs if entry["event"] == "refused"]
    return entry, answer


async def test_the_log_has_the_reason_the_site_and_the_request(wire):
    token = wire.token("GET", PAGE, iat=1000, exp=1100)
    entry, answer = await refusal(wire, f"{PAGE}&jwt={token}")
    assert "expired" in entry["reason"]
    assert (entry["client_key"], entry["request_id"]) == (wire.site.client_key, answer.header("x-request-id"))


async def test_a_site_that_names_itself_in_control_characters_is_not_logged(wire):
    entry, _ = await refusal(wire, f"{PAGE}&jwt={wire.token('GET', PAGE, iss='x' + chr(10) + 'forged line')}")
    assert "forged" not in repr(entry)


async def test_the_log_of_an_installation_has_the_site_and_the_request(wire):
    site = Site(wire.host.keys, "jira", "http://127.0.0.1:9000")
    with structlog.testing.capture_logs() as logs:
        answer = await wire.tell("installed", *wire.installed(site))
    (entry,) = [entry for entry in logs if entry["event"] == "lifecycle"]
    assert (answer.status, entry["client_key"], entry["event_name"]) == (204, site.client_key, "installed")


@pytest.mark.parametrize("form", ["json", "console"])
async def test_a_failing_handlers_variables_are_not_logged(wire, capfd, form):
    configure(LogSettings(format=form))
    session = await wire.session(site=wire.host.site)
    body = b'{"text": "PRIVATE-BODY"}'
    answer = await wire.send(f"Session {session}", "POST", "/under_test/breaking", body, "application/json")
    written = capfd.readouterr().err
    assert answer.status == 500
    assert "handler failed" in written
    assert not [piece for piece in (*parts([session]), "PRIVATE-BODY") if piece in written]
