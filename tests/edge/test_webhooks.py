"""Webhooks: authenticated, stored, and only then acknowledged."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from addonkit.errors import QueueFull, StorageUnavailable
from addonkit.jobs import writer as intake_module
from addonkit.jobs.models import JobRow
from addonkit.jobs.writer import WebhookWriter
from addonkit.protocol.canonical import CONTEXT_QSH
from addonkit.tenancy.models import TenantRow
from addonkit.work import JobKind, NewJob

from tests.support.job_plugin import HOOK, ORDERED, deliver, jobs, seen, working_addon

BODY = b'{"webhookEvent": "jira:issue_deleted", "issue": {"id": "10001", "key": "AB-1"}}'


@pytest.fixture
async def wire(tmp_path):
    async with working_addon(tmp_path) as running:
        await running.addon.settled()
        seen.clear()
        yield running


@pytest.fixture
async def idle(tmp_path):
    """An add-on that runs no jobs."""
    async with working_addon(tmp_path, jobs={"in_server": False}) as running:
        seen.clear()
        yield running


async def test_webhook_is_declared_by_its_plugin(wire):
    [first, second] = (await wire.host.descriptor())["modules"]["webhooks"]
    assert first == {"event": "jira:issue_deleted", "url": HOOK, "filter": "project = AB"}
    assert second == {"event": "jira:issue_updated", "url": f"{ORDERED}?issue_id=${{issue.id}}"}


async def test_webhook_is_stored_acknowledged_and_handled(wire):
    answer = await deliver(wire, BODY, identifier="delivery-1")
    assert (answer.status, answer.body) == (204, b"")
    await wire.addon.settled()
    assert seen == [("jira:issue_deleted", "10001", "delivery-1", 0, "Primary")]
    [row] = await jobs(name="forget")
    assert (row.state, bytes(row.payload)) == ("done", BODY)


async def test_webhook_of_a_tenant_without_a_secret_is_refused(wire):
    await TenantRow.all().update(shared_secret=None)
    wire.addon.directory.clear()
    assert (await deliver(wire, BODY, identifier="delivery-1")).status == 401
    assert await jobs(name="forget") == []


async def test_webhook_dedupe_handles_a_repeated_delivery_once(wire):
    for _ in range(2):
        assert (await deliver(wire, BODY, identifier="delivery-1")).status == 204
    await wire.addon.settled()
    assert (await deliver(wire, BODY, identifier="delivery-1")).status == 204
    await wire.addon.settled()
    assert len(seen) == 1


async def test_webhook_dedupe_needs_an_identifier(wire):
    for _ in range(2):
        assert (await deliver(wire, BODY)).status == 204
    await wire.addon.settled()
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("identifier", "is_kept"),
    [("a", True), ("x" * 255, True), ("x" * 256, False), ("x" * 5000, False), ("a\tb", False)],
    ids=["short", "longest", "too long", "very long", "not printable"],
)
async def test_webhook_identifier_that_no_column_can_hold_is_stored_as_its_digest(wire, identifier, is_kept):
    for _ in range(2):
        assert (await deliver(wire, BODY, identifier=identifier)).status == 204
    await wire.addon.settled()
    [row] = await jobs(name="forget")
    assert row.dedupe == (identifier if is_kept else hashlib.sha256(identifier.encode()).hexdigest())


async def test_webhook_dedupe_is_per_site(wire):
    other = await wire.host.install()
    await deliver(wire, BODY, identifier="same")
    headers = [("authorization", f"JWT {wire.token('POST', HOOK, other)}"), ("x-atlassian-webhook-identifier", "same")]
    assert (await wire.ask("POST", HOOK, headers, BODY)).status == 204
    assert len(await jobs(name="forget")) == 2


async def test_webhook_objects_come_from_the_signed_url(wire):
    assert (await deliver(wire, b"x", f"{ORDERED}?issue_id=77")).status == 204
    await wire.addon.settled()
    assert seen == [("77", b"x")]


@pytest.mark.parametrize("value", ["", "%24%7Bissue.id%7D", "${issue.id}", "$%7Bissue.id}"])
async def test_webhook_without_a_value_in_its_url_has_no_object_and_no_order(wire, value):
    assert (await deliver(wire, BODY, f"{ORDERED}?issue_id={value}")).status == 204
    await wire.addon.settled()
    [row] = await jobs(name="changed")
    assert (row.state, row.order_key) == ("dead", None)
    assert "issue_id" not in row.facts
    assert row.error.startswith("GiveUp: the webhook's URL has no value for 'issue_id'")
    assert not seen


@pytest.mark.parametrize("half", [rb"\ud83d", rb"\uDE00", b"\xed\xa0\xbd", rb"\ud83d\ud83d\ude00"], ids=range(4))
async def test_webhook_with_half_a_surrogate_pair_is_handled(wire, half):
    body = b'{"issue": {"id": "10001", "fields": {"summary": "cut ' + half + b'"}}}'
    assert (await deliver(wire, body, identifier="cut")).status == 204
    await wire.addon.settled()
    assert seen == [("jira:issue_deleted", "10001", "cut", 0, "Primary")]
    [row] = await jobs(name="forget")
    assert (row.state, bytes(row.payload) or body) == ("done", body)


async def test_webhook_body_that_is_not_json_is_stored_with_its_error(wire):
    assert (await deliver(wire, b"no json")).status == 204
    await wire.addon.settled()
    [row] = await jobs(name="forget")
    assert row.state == "dead"
    assert row.error.startswith("PayloadInvalid: the body of the webhook 'jira:issue_deleted' is not a JSON object")


@pytest.mark.parametrize(
    "changes",
    [{"qsh": CONTEXT_QSH}, {"qsh": None}, {"qsh": "0" * 64}, {"exp": 1}, {"aud": "another"}],
    ids=["context", "none", "another request", "expired", "another add-on"],
)
async def test_webhook_with_a_token_for_another_request_is_refused(idle, changes):
    assert (await deliver(idle, **changes)).status == 401
    assert await jobs(kind="webhook") == []


async def test_webhook_with_the_token_in_the_query_is_refused(idle):
    answer = await idle.ask("POST", f"{HOOK}?jwt={idle.token('POST', HOOK)}", (), BODY)
    assert answer.status == 401


async def test_webhook_without_a_token_or_with_a_foreign_one_is_refused(idle):
    assert (await idle.ask("POST", HOOK, (), BODY)).status == 401
    stranger = idle.signed({**idle.claims("POST", HOOK), "iss": "nobody"})
    assert (await idle.ask("POST", HOOK, [("authorization", f"JWT {stranger}")], BODY)).status == 401
    assert await jobs(kind="webhook") == []


async def test_webhook_of_an_uninstalled_site_is_refused(idle):
    await idle.host.uninstall()
    assert (await deliver(idle)).status == 401


async def test_webhook_accepts_only_post(idle):
    answer = await idle.ask("GET", HOOK)
    assert (answer.status, answer.header("allow")) == (405, "POST")


async def test_webhook_over_the_size_limit_is_refused(idle, monkeypatch):
    monkeypatch.setattr("addonkit.edge.webhooks.MAX_BODY_BYTES", 10)
    assert (await deliver(idle, b"x" * 11)).status == 413
    assert await jobs(name="forget") == []
    assert (await deliver(idle, b"x" * 10)).status == 204


@pytest.mark.parametrize(("excess", "status"), [(0, 204), (1, 413)], ids=["at the limit", "above"])
async def test_webhook_of_twenty_five_megabytes_is_stored(idle, excess, status):
    headers = [("authorization", f"JWT {idle.token('POST', HOOK)}")]
    chunks = [b"x" * 2**20] * 25 + ([b"x", None] if excess else [])
    assert (await idle.ask("POST", HOOK, headers, chunks)).status == status


@pytest.mark.parametrize(
    ("header", "retry"),
    [(None, 0), ("0", 0), ("1", 1), ("7", 7), ("999", 999), ("1000", 0), ("-1", 0), ("x", 0), ("", 0), ("1.5", 0)],
)
async def test_webhook_says_how_often_it_was_sent_before(wire, header, retry):
    headers = [("authorization", f"JWT {wire.token('POST', HOOK)}")]
    headers += [] if header is None else [("x-atlassian-webhook-retry", header)]
    assert (await wire.ask("POST", HOOK, headers, BODY)).status == 204
    await wire.addon.settled()
    assert [each[3] for each in seen] == [retry]


async def test_webhook_with_an_incomplete_body_is_not_stored(idle):
    headers = [("authorization", f"JWT {idle.token('POST', HOOK)}")]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await idle.ask("POST", HOOK, headers, [b"{", None])
    assert await jobs(kind="webhook") == []


async def test_webhook_without_a_database_is_a_503(idle, monkeypatch):
    async def away(jobs):
        raise StorageUnavailable("the disk is full")

    monkeypatch.setattr(intake_module, "insert_jobs", away)
    answer = await deliver(idle, BODY, identifier="later")
    assert (answer.status, answer.header("retry-after")) == (503, "5")
    monkeypatch.undo()
    assert (await deliver(idle, BODY, identifier="later")).status == 204
    assert len(await jobs(kind="webhook")) == 1


async def test_webhook_writer_stores_many_in_few_transactions(idle, monkeypatch):
    real, batches = intake_module.insert_jobs, []

    async def counting(jobs):
        batches.append(len(jobs))
        await real(jobs)

    monkeypatch.setattr(intake_module, "insert_jobs", counting)
    answers = await asyncio.gather(*(deliver(idle, BODY, identifier=str(number)) for number in range(100)))
    assert {answer.status for answer in answers} == {204}
    assert sum(batches) == 100
    assert len(batches) < 50
    assert len(await jobs(kind="webhook")) == 100


def webhook(site, body=b"{}", name="forget"):
    return NewJob("working", name, JobKind.WEBHOOK, body, tenant_id=site)


async def test_webhook_writer_fails_only_the_one_that_cannot_be_stored(idle):
    site = (await TenantRow.get()).id
    intake = WebhookWriter(100, 10_000)
    bad = webhook(site, name="\0" if "postgres" in str(idle.addon.deployment.location) else None)
    stored = await asyncio.gather(
        *(intake.store(one) for one in (webhook(site), bad, webhook(site))), return_exceptions=True
    )
    assert [one is None for one in stored] == [True, False, True]
    assert len(await jobs(kind="webhook")) == 2


async def test_webhook_writer_limits_waiting_rows_and_bytes(idle):
    intake = WebhookWriter(1, 10)
    with intake.reserve() as room:
        room.take(6)
        with intake.reserve() as other, pytest.raises(QueueFull, match="6 bytes"):
            other.take(5)
    assert intake.size == 0
    site = (await TenantRow.get()).id
    waiting = asyncio.create_task(intake.store(webhook(site)))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match="1 webhooks wait"):
        intake.reserve().__enter__()
    await waiting
    assert await JobRow.filter(kind="webhook").count() == 1


async def test_webhook_writer_survives_a_cancelled_request(idle):
    site = (await TenantRow.get()).id
    intake = WebhookWriter(100, 10_000)
    first, second = (asyncio.create_task(intake.store(webhook(site))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert len(await jobs(kind="webhook")) == 2


async def test_webhook_with_a_token_leaked_from_a_page_is_refused(idle):
    leaked = idle.token("GET", HOOK)
    answer = await idle.ask("POST", HOOK, [("authorization", f"JWT {leaked}")], b'{"forged": true}')
    assert answer.status == 401
    assert await jobs(kind="webhook") == []
