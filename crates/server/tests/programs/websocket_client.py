"""A WebSocket client: everything that websockets.rs wants to know, with the session in a cookie.

Arguments: the address of the gate, and the cookie.
"""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

ADDRESS, COOKIE = sys.argv[1:]


def connect_commands(**options):
    return connect(
        f"ws://{ADDRESS}/commands",
        additional_headers={"Cookie": COOKIE, "X-User-Id": "eve"},
        max_size=None,
        **options,
    )


async def same(socket, message, expected=None):
    await socket.send(message)
    answer = await socket.recv()
    assert answer == (message if expected is None else expected), (len(message), len(answer))


async def sizes(socket):
    for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20, 16 << 20):
        # Bytes that compress badly, and non-ASCII text.
        await same(socket, bytes(n * n % 251 for n in range(min(size, 4096))) * (size // 4096 or 1))
        await same(socket, "é" * (size // 2))


async def pieces(socket):
    await same(socket, [b"a" * 1000, b"", b"b" * 70000, b"c"], b"a" * 1000 + b"b" * 70000 + b"c")
    await same(socket, ["é", "", "ü"] * 500, "éü" * 500)
    await socket.send("pieces")
    parts = [part async for part in socket.recv_streaming() if part]
    assert parts == ["one ", "two ", "three"], parts


async def slowly_with_pings(socket):
    """Pings stand between the pieces of a message."""

    async def parts():
        for part in (b"first", b"second"):
            yield part
            await (await socket.ping(b"x" * 125))

    await same(socket, parts(), b"firstsecond")
    await (await socket.ping())
    await socket.send("ping")
    assert await socket.recv() == "ponged"


async def conversation(**options):
    async with connect_commands(**options) as socket:
        assert await socket.recv() == "zoe"
        await sizes(socket)
        await pieces(socket)
        await slowly_with_pings(socket)
        return [extension.name for extension in socket.protocol.extensions]


CLOSES = ((1000, ""), (1001, "going"), (1008, "é" * 61), (3000, "x"), (4999, "last"))


async def service_closes():
    for code, reason in CLOSES:
        socket = await connect_commands()
        await socket.recv()
        await socket.send(f"close {code} {reason}")
        await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (code, reason), socket.close_code
    socket = await connect_commands()
    await socket.recv()
    await socket.send("drop")
    await socket.wait_closed()
    assert socket.close_code == 1006, socket.close_code


async def client_closes():
    async with connect_commands() as observer:
        await observer.recv()

        async def ended(name):
            await observer.send(f"ended {name}")
            return await observer.recv()

        for code, reason in CLOSES:
            socket = await connect_commands()
            await socket.recv()
            await same(socket, f"name {code}", "named")
            await socket.close(code, reason)
            seen = await ended(code)
            assert seen == f"{code} {reason}", seen
        socket = await connect_commands()
        await socket.recv()
        await same(socket, "name dropped", "named")
        socket.transport.abort()
        seen = await ended("dropped")
        assert seen == "1006 ", seen


async def refused():
    for fields in ({}, {"Cookie": COOKIE[:-4]}):
        try:
            async with connect(f"ws://{ADDRESS}/commands", additional_headers=fields):
                raise AssertionError("entered")
        except InvalidStatus as status:
            assert status.response.status_code == 401, status


async def main():
    await refused()
    assert await conversation(compression=None) == []
    assert await conversation(compression="deflate") == ["permessage-deflate"]
    async with connect_commands(subprotocols=["other", "chat"]) as socket:
        assert socket.subprotocol == "chat"
    await service_closes()
    await client_closes()
    print("all messages passed")


asyncio.run(main())
