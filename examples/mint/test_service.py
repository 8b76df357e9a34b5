"""Tests a service behind the gate, with sessions that `sessiongate mint` makes. See README.md."""

import json
import os
import subprocess
import threading
import unittest
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SESSIONGATE = os.environ.get("SESSIONGATE", "sessiongate")
SETTINGS = {"AUTH_SECRET": "for-tests-only-5xk2Vb8Rz1LtYc5NdJ0pAw", "PATH": os.environ["PATH"]}


class Service(BaseHTTPRequestHandler):
    """The service under test. It believes the header, because it can only be reached through the gate."""

    def do_GET(self):
        body = f"hello {self.headers['X-User-Id']}, {self.headers['X-User-Email']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def mint(*options):
    """The value of the `Cookie` header of a user who is signed in."""
    command = [SESSIONGATE, "mint", "--format", "authjs", *options]
    return subprocess.run(command, env=SETTINGS, check=True, capture_output=True, text=True).stdout.strip()


class BehindTheGate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = ThreadingHTTPServer(("127.0.0.1", 0), Service)
        threading.Thread(target=cls.service.serve_forever, daemon=True).start()
        settings = SETTINGS | {
            "UPSTREAM": f"http://127.0.0.1:{cls.service.server_port}",
            "LISTEN": "127.0.0.1:0",
            "ADMIN_LISTEN": "127.0.0.1:0",
        }
        cls.gate = subprocess.Popen(
            [SESSIONGATE, "serve"], env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        cls.port = cls.listening_port()
        # The rest of its log must not fill the pipe.
        cls.log = threading.Thread(target=cls.gate.stderr.read)
        cls.log.start()

    @classmethod
    def listening_port(cls):
        """The port that the gate has chosen, once it listens."""
        for line in cls.gate.stderr:
            event = json.loads(line)
            if event.get("listener") == "proxy":
                return int(event["address"].rpartition(":")[2])
        raise AssertionError("the gate has ended before it listened")

    @classmethod
    def tearDownClass(cls):
        cls.gate.terminate()
        cls.gate.wait()
        cls.log.join()
        cls.gate.stderr.close()
        cls.service.shutdown()
        cls.service.server_close()

    def get(self, **headers):
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", "/", headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def test_a_signed_in_user_is_greeted(self):
        cookie = mint("--user", "42", "--email", "ada@example.com")
        self.assertEqual(self.get(Cookie=cookie), (200, "hello 42, ada@example.com"))

    def test_a_request_without_a_session_is_refused(self):
        ended = mint("--user", "42", "--expires-in", "-600")
        for headers in {}, {"X-User-Id": "42"}, {"Cookie": ended}:
            status, body = self.get(**headers)
            self.assertEqual(status, 401, body)


if __name__ == "__main__":
    unittest.main()
