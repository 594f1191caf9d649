"""Requests for a shutdown, and their mode."""

from addonkit.server.shutdown import Shutdown, ShutdownMode


async def test_shutdown_mode_of_the_first_request_counts():
    shutdown = Shutdown()
    shutdown.request(ShutdownMode.GRACEFUL)
    assert (shutdown.mode, shutdown.aborted.is_set()) == (ShutdownMode.GRACEFUL, False)
    shutdown.request(ShutdownMode.FAST)
    assert (shutdown.mode, shutdown.aborted.is_set()) == (ShutdownMode.GRACEFUL, True)
