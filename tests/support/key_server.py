"""A key host that answers every path alike, and records the requested paths."""

import asyncio

from addonkit.testing import InstallKeys

PEM = InstallKeys().public_pem.encode()


class KeyServer:
    """Answers every path alike, and records the requested paths."""

    def __init__(self, status=200, body=PEM, headers=(), delay_s=0.0):
        self.status, self.body, self.headers, self.delay_s = status, body, headers, delay_s
        self.asked = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                phase = (await receive())["type"]
                await send({"type": f"{phase}.complete"})
                if phase == "lifespan.shutdown":
                    return
        self.asked.append(scope["raw_path"].decode())
        await asyncio.sleep(self.delay_s)
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body})
