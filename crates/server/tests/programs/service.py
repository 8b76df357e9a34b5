"""The paths that the table of services.rs requests, as a WSGI and as an ASGI application."""

import re


def visits(cookie):
    found = re.search(r"visits=(\d+)", cookie)
    return int(found.group(1)) + 1 if found else 1


def wsgi(environ, start_response):
    def answer(status, body, *fields):
        start_response(status, [("Content-Type", "text/plain"), *fields])
        return body

    path = environ["PATH_INFO"]
    if path == "/user":
        names = ("HTTP_X_USER_ID", "HTTP_X_USER_EMAIL", "HTTP_X_USER_NAME")
        return answer("200 OK", [" ".join(environ[name] for name in names).encode()])
    if path == "/refuse":
        return answer("403 Forbidden", [b"no"])
    if path == "/none":
        start_response("204 No Content", [])
        return []
    if path == "/same":
        start_response("304 Not Modified", [("ETag", '"a"')])
        return []
    if path == "/echo":
        pieces = iter(lambda: environ["wsgi.input"].read(65536), b"")
        return answer("200 OK", list(pieces))
    if path == "/pieces":
        return answer("200 OK", iter([b"one ", b"two ", b"three"]))
    if path == "/visits":
        number = visits(environ.get("HTTP_COOKIE", ""))
        return answer("200 OK", [str(number).encode()], ("Set-Cookie", f"visits={number}"))
    if path == "/port":
        return answer("200 OK", [environ["REMOTE_PORT"].encode()])
    return answer("404 Not Found", [])


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return

    async def begin(status, *fields):
        await send({"type": "http.response.start", "status": status, "headers": list(fields)})

    async def piece(body, more=False):
        await send({"type": "http.response.body", "body": body, "more_body": more})

    path, fields = scope["path"], dict(scope["headers"])
    if path == "/echo":
        # Read before the answer begins, so that a client that waits with its body gets 100 Continue.
        message = await receive()
        await begin(200)
        while message.get("more_body", False):
            await piece(message["body"], True)
            message = await receive()
        await piece(message.get("body", b""))
    elif path == "/pieces":
        await begin(200)
        for body in (b"one ", b"two ", b"three"):
            await piece(body, True)
        await piece(b"")
    elif path == "/none":
        await begin(204)
        await piece(b"")
    elif path == "/same":
        await begin(304, (b"etag", b'"a"'))
        await piece(b"")
    else:
        status, more, body = 200, [], b""
        if path == "/user":
            names = (b"x-user-id", b"x-user-email", b"x-user-name")
            body = b" ".join(fields[name] for name in names)
        elif path == "/visits":
            number = visits(fields.get(b"cookie", b"").decode())
            more = [(b"set-cookie", f"visits={number}".encode())]
            body = str(number).encode()
        elif path == "/port":
            body = str(scope["client"][1]).encode()
        elif path == "/refuse":
            status, body = 403, b"no"
        else:
            status = 404
        length = (b"content-length", str(len(body)).encode())
        await begin(status, (b"content-type", b"text/plain"), length, *more)
        await piece(body)
