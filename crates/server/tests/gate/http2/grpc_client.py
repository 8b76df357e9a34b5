"""Runs the named test and prints a line for each result: `client.py ADDRESS COOKIE AUTHORITY_FILE TEST`."""

import queue
import sys

import grpc

address, cookie, authority, test = sys.argv[1:]
if authority == "none":
    channel = grpc.insecure_channel(address)
else:
    with open(authority, "rb") as file:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(file.read()))
session = () if cookie == "none" else (("cookie", cookie),)


def outcome(call):
    """What a call comes to that fails."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def echoes(message, **more):
    return channel.unary_unary("/test.Talk/Echoes").with_call(message, metadata=session, **more)


def every_kind():
    message, call = echoes(b"x" * 300_000, timeout=60)
    begin, trailers = dict(call.initial_metadata()), dict(call.trailing_metadata())
    print(len(message), begin.get("x-begin"), trailers["x-user"])
    print(trailers["x-bin-bin"], trailers["x-has-deadline"])
    print(dict(echoes(b"")[1].trailing_metadata())["x-has-deadline"])
    try:
        channel.unary_unary("/test.Talk/Fails")(b"", metadata=session)
    except grpc.RpcError as error:
        print(error.code().name, error.details())
    counted = channel.unary_stream("/test.Talk/Counts")(b"1000", metadata=session)
    print(sum(int(number) for number in counted))
    numbers = (str(number).encode() for number in range(1000))
    print(channel.stream_unary("/test.Talk/Sums")(numbers, metadata=session).decode())
    # Each answer arrives before the next message is sent.
    questions = queue.SimpleQueue()
    answers = channel.stream_stream("/test.Talk/Answers")(iter(questions.get, None), metadata=session)
    for number in range(20):
        questions.put(str(number).encode())
        assert next(answers) == b"re: " + str(number).encode()
    questions.put(None)
    print(list(answers))
    unknown = channel.unary_unary("/test.Talk/Unknown")
    print(outcome(lambda: unknown(b"", metadata=session)))


def refusal():
    try:
        echoes(b"any")
        print("OK")
    except grpc.RpcError as error:
        print(error.code().name, error.details())


def three():
    for _ in range(3):
        print(outcome(lambda: echoes(b"any")))


def deadline():
    hangs = channel.unary_unary("/test.Talk/Hangs")
    print(outcome(lambda: hangs(b"", timeout=1, metadata=session)))


def cancels():
    call = channel.unary_unary("/test.Talk/Hangs").future(b"", metadata=session)
    input()
    call.cancel()
    print(outcome(call.result) if not call.cancelled() else "CANCELLED")


globals()[test]()
