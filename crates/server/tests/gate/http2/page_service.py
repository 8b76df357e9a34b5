"""A page and the resources that it loads, as a Starlette application: each answer contains the `Via` of its request."""

import asyncio
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

PAGE = """<!doctype html><meta charset=utf-8><title>page</title><script type=module>
const found = { page: performance.getEntriesByType("navigation")[0].nextHopProtocol };
const socket = new WebSocket(`wss://${location.host}/socket`);
found.socket = await new Promise(done => {
  socket.onopen = () => socket.send("hello");
  socket.onmessage = event => done(event.data);
  socket.onerror = () => done("failed");
});
socket.close(1000);
found.events = await new Promise(done => {
  const events = new EventSource("/events"), seen = [];
  events.onmessage = event => {
    seen.push(event.data);
    if (seen.length == 3) { events.close(); done(seen.join()); }
  };
  events.onerror = () => done("failed");
});
const parts = ["one ", "two ", "three"];
const body = new ReadableStream({
  pull(into) {
    if (parts.length) into.enqueue(new TextEncoder().encode(parts.shift()));
    else into.close();
  },
});
const upload = await fetch("/upload", { method: "POST", body, duplex: "half" });
found.upload = await upload.text();
const numbers = [...Array(50).keys()];
const ask = async number => Number(await (await fetch("/number?" + number)).text());
found.many = (await Promise.all(numbers.map(ask))).join() == numbers.join();
await fetch("/found?" + encodeURIComponent(JSON.stringify(found)));
</script>"""


async def page(request):
    return HTMLResponse(PAGE)


async def socket(websocket):
    await websocket.accept()
    message = await websocket.receive_text()
    await websocket.send_text(f"{message} by {websocket.headers['via']}")


async def events(request):
    async def each():
        for number in range(3):
            yield f"data: {number}\n\n"
            await asyncio.sleep(0.05)
        await asyncio.sleep(60)

    return StreamingResponse(each(), media_type="text/event-stream")


async def upload(request):
    return PlainTextResponse((await request.body()).decode() + f" by {request.headers['via']}")


async def number(request):
    return PlainTextResponse(request.url.query)


async def found(request):
    print("FOUND", unquote(request.url.query), flush=True)
    return PlainTextResponse("")


app = Starlette(routes=[
    Route("/", page),
    WebSocketRoute("/socket", socket),
    Route("/events", events),
    Route("/upload", upload, methods=["POST"]),
    Route("/number", number),
    Route("/found", found),
])
