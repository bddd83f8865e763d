"""The web page in a real browser, before a gateway that asks for a token."""

import asyncio
from pathlib import Path

import httpx
import pytest

from services.common.storage import Store
from services.gateway.bearer import Bearer
from services.gateway.rest.app import create_app
from services.gateway.rest.server import serving_http
from tests.support.browser import page
from tests.support.gateways import MODEL, TEXTS, gateway_for, until
from tests.support.services import Services

TOKEN = "a-token-of-enough-letters"
SPEC = {"topic": "horror", "base_model": MODEL, "max_books": 2}
GIVE = """(token) => {
  const form = document.querySelector("dialog form");
  form.elements.token.value = token;
  form.requestSubmit();
}"""


@pytest.mark.slow
async def test_the_page_asks_once_follows_a_run_and_downloads(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    async with (
        Services(store, dict(TEXTS)) as services,
        gateway_for(store, services) as gateway,
        serving_http(create_app(gateway, Bearer(file)), "127.0.0.1", 0, 1.0) as port,
        page(tmp_path) as browser,
    ):
        address = f"http://127.0.0.1:{port}"
        await browser.go(f"{address}/")
        await browser.until("document.querySelector('dialog[open]')?.innerText.includes('asks for its token')")
        assert "No runs yet" not in await browser.text(), "nothing is shown to who brings no token"
        await browser.value(f"({GIVE})('wrong-but-of-enough-letters')")
        await browser.until("document.querySelector('dialog[open] .problem')?.innerText.includes('not this gateway')")
        await browser.value(f"({GIVE})('{TOKEN}')")
        await browser.shows("No runs yet")
        assert await browser.value("document.querySelectorAll('dialog').length") == 0, "all calls share one answer"

        gate = services.faults.gates["train_model:step"] = asyncio.Event()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=address, headers=headers) as http:
            run = (await http.post("/v1/runs", json={"spec": SPEC})).json()["name"]
        await browser.value(f"location.hash = '#/{run}'")
        await until(lambda: services.faults.calls["train_model:step"])
        await browser.shows("running")
        gate.set()  # and the page shows the rest by itself
        await browser.shows("SHA-256")
        assert "succeeded" in await browser.text()

        await browser.until("[...document.querySelectorAll('a')].some((a) => a.innerText === 'Modelfile')")
        await browser.value("[...document.querySelectorAll('a')].find((a) => a.innerText === 'Modelfile').click()")
        await browser.until("location.pathname.endsWith('/files/Modelfile')")
        await browser.shows("FROM")
        await browser.until("location.search.includes('signature=')")
        assert TOKEN not in await browser.value("location.href")

        await browser.go(f"{address}/#/{run}")  # in the same tab: the token is still there
        await browser.shows("SHA-256")
        await browser.value("[...document.querySelectorAll('a')].find((a) => a.innerText.endsWith('.gguf')).click()")
        saved = tmp_path / "downloads" / "horror.q4_k_m.gguf"
        await until(saved.is_file)
        view = await gateway.get(run)
        assert saved.stat().st_size == next(f for f in view.files if f.name == saved.name).file.size_bytes

        await browser.go(f"{address}/docs")
        await browser.shows("/v1/runs")
        link = await browser.until("document.getElementById('document')?.href")
        assert link.startswith("blob:"), "a link to the document itself would bring no token"
