"""An echo client for Autobahn's cases, with the session in a cookie.

Arguments: the address of the gate, and the cookie.
"""

import asyncio
import logging
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

ADDRESS, COOKIE = sys.argv[1:]


def at(path):
    return connect(f"ws://{ADDRESS}{path}", additional_headers={"Cookie": COOKIE}, max_size=None)


async def visit(path):
    try:
        async with at(path) as socket:
            async for message in socket:
                await socket.send(message)
    except (WebSocketException, ConnectionError):
        # What the case covers, for the reader of the report.
        pass


async def main():
    logging.disable(logging.CRITICAL)
    async with at("/getCaseCount") as socket:
        cases = int(await socket.recv())
    for case in range(cases):
        await visit(f"/runCase?case={case + 1}&agent=websockets")
    await visit("/updateReports?agent=websockets")


asyncio.run(main())
