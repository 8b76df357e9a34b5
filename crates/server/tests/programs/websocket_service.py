"""A WebSocket service: sends the user id, echoes messages, and executes commands.

    close CODE REASON   closes with this code and reason
    drop                drops the connection
    ping                waits for a pong before it continues
    name NAME           gives this connection a name
    ended NAME          sends how the connection of this name ended
"""

import asyncio
import logging
import sys

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

ended = {}


async def serve_one(socket):
    headers = socket.request.headers
    path, name = socket.request.path, None
    if path == "/commands":
        await socket.send(headers.get("X-User-Id", ""))
    try:
        async for message in socket:
            if path != "/commands" or not isinstance(message, str):
                await socket.send(message)
                continue
            words = message.split(" ", 2)
            if words[0] == "close":
                await socket.close(int(words[1]), words[2])
            elif words[0] == "drop":
                socket.transport.abort()
            elif words[0] == "ping":
                await (await socket.ping(b"p" * 125))
                await socket.send("ponged")
            elif words[0] == "name":
                name = words[1]
                ended[name] = asyncio.get_running_loop().create_future()
                await socket.send("named")
            elif words[0] == "ended":
                await socket.send(await ended[words[1]])
            elif words[0] == "pieces":
                await socket.send(["one ", "two ", "three"])
            else:
                await socket.send(message)
    except ConnectionClosed:
        pass
    if name is not None:
        await socket.wait_closed()
        ended[name].set_result(f"{socket.close_code} {socket.close_reason}")


def chat(_, offered):
    return "chat" if "chat" in offered else None


async def main():
    # The errors that the cases of Autobahn provoke are not logged.
    logging.disable(logging.CRITICAL)
    port = int(sys.argv[1])
    async with serve(serve_one, "127.0.0.1", port, max_size=None, select_subprotocol=chat):
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
