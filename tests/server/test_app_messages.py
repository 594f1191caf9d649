"""The queue between a connection and its application."""

import asyncio

import pytest
from addonkit.server.app_messages import AppMessages


def part(number):
    return {"type": "http.request", "body": b"%d" % number, "more_body": True}


async def test_messages_are_received_in_order():
    messages = AppMessages(10)
    for number in range(5):
        await messages.put(part(number))
    assert [await messages.get() for _ in range(5)] == [part(number) for number in range(5)]


async def test_receiver_waits_for_a_message():
    messages = AppMessages(1)
    receiving = asyncio.create_task(messages.get())
    await asyncio.sleep(0)
    await messages.put(part(1))
    assert await receiving == part(1)


async def test_several_receivers_get_one_message_each_though_one_is_cancelled():
    messages = AppMessages(10)
    receiving = [asyncio.create_task(messages.get()) for _ in range(4)]
    await asyncio.sleep(0)
    receiving[0].cancel()
    for number in range(3):
        await messages.put(part(number))
    received = await asyncio.gather(*receiving, return_exceptions=True)
    assert sorted(message["body"] for message in received[1:]) == [b"0", b"1", b"2"]
    assert isinstance(received[0], asyncio.CancelledError)


@pytest.mark.parametrize("limit", [1, 2, 10])
async def test_producer_waits_at_the_limit(limit):
    messages = AppMessages(limit)
    for number in range(limit):
        await messages.put(part(number))
    waiting = asyncio.create_task(messages.put(part(99)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    await messages.get()
    await waiting


@pytest.mark.parametrize("kind", ["http.disconnect", "websocket.disconnect"])
async def test_end_of_the_request_releases_a_producer_and_is_received_last(kind):
    messages = AppMessages(1)
    await messages.put(part(1))
    waiting = [asyncio.create_task(messages.put(part(number))) for number in (2, 3)]
    await asyncio.sleep(0)
    await messages.put({"type": kind})
    await asyncio.gather(*waiting)
    await messages.put(part(4))
    assert [await messages.get(), await messages.get()] == [part(1), {"type": kind}]
    receiving = asyncio.create_task(messages.get())
    await asyncio.sleep(0)
    assert not receiving.done()
    receiving.cancel()
