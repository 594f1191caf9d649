import pytest


@pytest.fixture
def addonkit_config():
    return {"addon": {"plugins": ["greeting"]}}


async def test_panel_shows_the_default_greeting(host):
    page = await host.open("greeting-panel", issue={"key": "AB-1"})
    assert "Hello, AB-1" in page.text


async def test_wave_uses_the_issue_of_the_page(host):
    page = await host.open("greeting-panel", issue={"key": "AB-1"})
    response = await page.fetch("wave", method="POST", json={"times": 2, "issue_key": "XY-9"})
    assert response.status_code == 200
    assert response.json() == {"text": "wave wave from AB-1"}
