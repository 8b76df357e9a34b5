"""A gRPC service whose messages are bytes: `service.py ADDRESS [KEY CERTIFICATE]`."""

import sys
import threading
from concurrent import futures

import grpc


def echoes(request, context):
    metadata = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-begin", "yes"),))
    left = context.time_remaining()
    context.set_trailing_metadata((
        ("x-user", metadata.get("x-user-id", "nobody")),
        ("x-bin-bin", b"\x00\xff"),
        ("x-has-deadline", str(left is not None and left < 1000)),
    ))
    return request


def fails(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not tod\u00e4y")


def counts(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def sums(requests, context):
    return str(sum(int(request) for request in requests)).encode()


def answers(requests, context):
    for request in requests:
        yield b"re: " + request


def hangs(request, context):
    over = threading.Event()
    context.add_callback(over.set)
    over.wait()
    print("the call is over", flush=True)
    return request


KINDS = {
    "Echoes": grpc.unary_unary_rpc_method_handler(echoes),
    "Fails": grpc.unary_unary_rpc_method_handler(fails),
    "Counts": grpc.unary_stream_rpc_method_handler(counts),
    "Sums": grpc.stream_unary_rpc_method_handler(sums),
    "Answers": grpc.stream_stream_rpc_method_handler(answers),
    "Hangs": grpc.unary_unary_rpc_method_handler(hangs),
}

server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Talk", KINDS),))
if len(sys.argv) > 2:
    key, certificate = (open(path, "rb").read() for path in sys.argv[2:])
    server.add_secure_port(sys.argv[1], grpc.ssl_server_credentials([(key, certificate)]))
else:
    server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
