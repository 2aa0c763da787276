"""A server with the holes that schemathesis and sqlmap are for, to prove that both would find one.

Prints its address and serves until it is ended.
"""

import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

DATABASE = sqlite3.connect(":memory:", check_same_thread=False)
DATABASE.executescript("CREATE TABLE payments (id TEXT, amount TEXT); INSERT INTO payments VALUES ('pay_1', '5.00');")
LOCK = threading.Lock()

DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Holes", "version": "1"},
    "paths": {
        "/payment": {
            "get": {
                "operationId": "payment",
                "parameters": [{"name": "id", "in": "query", "required": True, "schema": {"type": "string"},
                     "examples": {"quoted": {"value": "it's"}, "plain": {"value": "pay_1"}}}],
                "responses": {
                    "200": {
                        "description": "The payment.",
                        "content": {"application/json": {"schema": {"type": "object", "required": ["amount"]}}},
                    }
                },
            }
        }
    },
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        parts = urlsplit(self.path)
        if parts.path == "/openapi.json":
            return self.answer(200, DOCUMENT)
        identity = parse_qs(parts.query).get("id", [""])[0]
        try:
            with LOCK:
                rows = DATABASE.execute("SELECT amount FROM payments WHERE id = '%s'" % identity).fetchall()
        except Exception as error:
            return self.answer(500, {"error": str(error)})
        return self.answer(200, {"amount": rows[0][0]} if rows else {})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print("http://127.0.0.1:%d" % server.server_port, flush=True)
    server.serve_forever()
