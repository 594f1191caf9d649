"""The server of installation keys."""

import httpx2
from addonkit.testing import InstallKeys


async def test_install_key_is_served_under_its_key_id():
    keys = InstallKeys()
    async with keys.serve() as url, httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/{keys.kid}")
    assert (answer.status_code, answer.text) == (200, keys.public_pem)


async def test_install_key_with_an_unknown_id_is_not_found():
    async with InstallKeys().serve() as url, httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{url}/other")).status_code == 404


def test_install_key_can_be_stored_and_loaded():
    keys = InstallKeys()
    assert InstallKeys(keys.private_pem, keys.kid).public_pem == keys.public_pem
