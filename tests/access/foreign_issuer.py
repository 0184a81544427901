"""An OpenID Connect issuer for tests, in a process of its own: serves what lies in a folder, over TLS or plain HTTP.

python foreign_issuer.py FOLDER [CERT KEY]

Prints its port. `/x/y` is answered with FOLDER/x/y; beside it `y.how` may say how: `status 500`, `redirect URL`,
`drip` (a byte now and then, for ever), `huge`. Every request is a line in FOLDER/requests.
"""

import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    folder = Path()

    def log_message(self, *_arguments):
        pass

    def do_GET(self):
        with (self.folder / "requests").open("a") as log:
            log.write(f"{self.path} {self.headers['Host']}\n")
        path = self.folder / self.path.strip("/").replace("..", "")
        how = path.with_name(path.name + ".how")
        word, _, rest = (how.read_text() if how.exists() else "").partition(" ")
        if word == "redirect":
            self.send_response(302)
            self.send_header("Location", rest)
            self.end_headers()
            return
        if word in {"drip", "huge"}:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b" " * (1 if word == "drip" else 65536))
                    self.wfile.flush()
                    time.sleep(0.1 if word == "drip" else 0)
            except OSError:
                return
        status = int(rest) if word == "status" else 200 if path.is_file() else 404
        content = path.read_bytes() if path.is_file() else b"{}"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main(arguments):
    Handler.folder = Path(arguments[0])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if len(arguments) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments[1], arguments[2])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
