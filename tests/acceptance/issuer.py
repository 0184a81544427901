"""An OpenID Connect issuer that knows nothing of schoolsync, in a process of its own: joserfc and the standard library.

python issuer.py CERT KEY < people.json

It is strict where the standards leave a choice: codes only with PKCE (RFC 7636) and once, redirect addresses exactly as
registered (any port of this machine for native programs, RFC 8252), a confidential client's secret by HTTP Basic alone,
device codes (RFC 8628) that tell who is impatient, refresh tokens that change with each use and die with a second one,
`iss` in every redirect (RFC 9207), tokens in the shape of RFC 9068 under ES256. `people.json` has `people` by name with
`password`, `roles` and `tenant`, and `clients` by id with `redirects`, and `secret` where they are confidential.
"""

import base64
import hashlib
import html
import json
import secrets
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

REALM = "/realms/district"
LIFETIME = 300


class Refused(Exception):
    def __init__(self, error, status=400):
        super().__init__(error)
        self.status = status


class Issuer:
    """What there is to know, for as long as the process lives."""

    def __init__(self, given, base):
        self.people, self.clients, self.name = given["people"], given["clients"], base + REALM
        self.key = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig", "kid": secrets.token_hex(4)})
        self.codes, self.devices, self.refreshes, self.spent = {}, {}, {}, {}

    def discovery(self):
        at = f"{self.name}/protocol"
        return {
            "issuer": self.name,
            "authorization_endpoint": f"{at}/auth",
            "token_endpoint": f"{at}/token",
            "device_authorization_endpoint": f"{at}/device",
            "revocation_endpoint": f"{at}/revoke",
            "jwks_uri": f"{at}/certs",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
            "authorization_response_iss_parameter_supported": True,
        }

    def tokens(self, client, name, scope):
        person, now = self.people[name], int(time.time())
        granted = person.get("scopes")  # what whoever runs the issuer lets this person's programs do
        scope = " ".join(one for one in scope.split() if granted is None or one in granted)
        claims = {"iss": self.name, "sub": person["sub"], "iat": now, "exp": now + LIFETIME, "azp": client}
        access = {
            **claims,
            "aud": [person.get("audience", "https://sync.district.example"), "account"],
            "scope": scope,
            "preferred_username": name,
            "realm_access": {"roles": person["roles"]},
            "directory": person["tenant"],
            "jti": secrets.token_hex(8),
        }
        answer = {
            "access_token": self.signed(access, "at+jwt"),
            "id_token": self.signed({**claims, "aud": client}, "JWT"),
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "scope": scope,
        }
        if "offline_access" in scope.split():
            answer["refresh_token"] = secrets.token_urlsafe(24)
            self.refreshes[answer["refresh_token"]] = (client, name, scope)
        return answer

    def signed(self, claims, kind):
        return jwt.encode({"alg": "ES256", "kid": self.key.kid, "typ": kind}, claims, self.key)

    def client(self, headers, form):
        """The client that asks, which has shown its secret when it has one."""
        kind, _, encoded = headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            name, _, secret = base64.b64decode(encoded).decode().partition(":")
            name, secret = unquote_plus(name), unquote_plus(secret)
        else:
            name, secret = form.get("client_id", ""), None
        if "client_secret" in form or name not in self.clients or self.clients[name].get("secret") != secret:
            raise Refused("invalid_client", 401)
        return name

    def exchanged(self, headers, form):
        client = self.client(headers, form)
        match form.get("grant_type"):
            case "authorization_code":
                found = self.codes.pop(form.get("code"), None)
                proof = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
                if found is None or (client, form.get("redirect_uri"), proof.decode().rstrip("=")) != found[:3]:
                    raise Refused("invalid_grant")
                return self.tokens(client, *found[3:])
            case "urn:ietf:params:oauth:grant-type:device_code":
                found = self.devices.get(form.get("device_code"))
                if found is None or found["client"] != client:
                    raise Refused("invalid_grant")
                hurry, found["asked"] = time.monotonic() - found["asked"] < 0.9, time.monotonic()
                if found["name"] is None:
                    raise Refused("slow_down" if hurry else "authorization_pending")
                del self.devices[form["device_code"]]
                if found["name"] == "":
                    raise Refused("access_denied")
                return self.tokens(client, found["name"], found["scope"])
            case "refresh_token":
                token = form.get("refresh_token", "")
                if token in self.spent:  # somebody has a copy: nobody goes on
                    for other, whose in list(self.refreshes.items()):
                        if whose == self.spent[token]:
                            del self.refreshes[other]
                found = self.refreshes.pop(token, None)
                if found is None or found[0] != client:
                    raise Refused("invalid_grant")
                self.spent[token] = found
                return self.tokens(*found)
        raise Refused("unsupported_grant_type")

    def device(self, headers, form):
        client = self.client(headers, form)
        code, shown = secrets.token_urlsafe(16), secrets.token_hex(3).upper()
        self.devices[code] = {
            "client": client,
            "scope": form.get("scope", ""),
            "shown": shown,
            "name": None,
            "asked": time.monotonic(),
        }
        page = f"{self.name}/protocol/go"
        return {"device_code": code, "user_code": shown, "verification_uri": page, "expires_in": 60, "interval": 1}

    def asked(self, query):
        """Raise Refused for a request that no redirect may answer."""
        client = self.clients.get(query.get("client_id", ""))
        back = query.get("redirect_uri", "")
        if client is None or not any(_same(back, one) for one in client["redirects"]):
            raise Refused("invalid_redirect")
        return back

    def redirected(self, query, form):
        """Where the browser goes with the answer to a sign-in page."""
        back = self.asked(query)
        answer = {"state": query.get("state", ""), "iss": self.name}
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            answer["error"] = "invalid_request"
        elif form.get("cancel"):
            answer["error"] = "access_denied"
        else:
            name = self.known(form)
            answer["code"] = secrets.token_urlsafe(16)
            kept = (query["client_id"], back, query["code_challenge"], name, query.get("scope", ""))
            self.codes[answer["code"]] = kept
        return f"{back}{'&' if '?' in back else '?'}{urlencode(answer)}"

    def known(self, form):
        person = self.people.get(form.get("name"))
        if person is None or not secrets.compare_digest(person["password"], form.get("secret", "")):
            raise Refused("wrong name or password", 401)
        return form["name"]

    def answered(self, form):
        """Somebody has typed the code that a program shows."""
        for found in self.devices.values():
            if found["shown"] == form.get("code"):
                found["name"] = "" if form.get("cancel") else self.known(form)
                return
        raise Refused("no such code")


def _same(given, registered):
    parts, wanted = urlsplit(given), urlsplit(registered)
    if wanted.hostname in ("localhost", "127.0.0.1") and wanted.port is None:
        return (parts.scheme, parts.hostname, parts.path) == (wanted.scheme, wanted.hostname, wanted.path)
    return given == registered


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        issuer, (path, query) = self.server.issuer, self.place()
        if path == f"{REALM}/.well-known/openid-configuration":
            self.json(200, issuer.discovery())
        elif path == f"{REALM}/protocol/certs":
            self.json(200, {"keys": [issuer.key.as_dict(private=False)]})
        elif path == f"{REALM}/protocol/auth":
            self.guarded(lambda: (issuer.asked(query), self.page(self.path)))
        else:
            self.json(404, {})

    def do_POST(self):
        issuer, (path, query) = self.server.issuer, self.place()
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Type") != "application/x-www-form-urlencoded":
            self.json(415, {})
            return
        form = dict(parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=True))
        match path.removeprefix(f"{REALM}/protocol/"):
            case "token":
                self.guarded(lambda: self.json(200, issuer.exchanged(self.headers, form)))
            case "device":
                self.guarded(lambda: self.json(200, issuer.device(self.headers, form)))
            case "revoke":
                self.guarded(
                    lambda: (
                        issuer.client(self.headers, form),
                        issuer.refreshes.pop(form["token"], None),
                        self.json(200, {}),
                    )
                )
            case "auth":
                self.guarded(lambda: self.redirect(issuer.redirected(query, form)))
            case "go":
                self.guarded(lambda: (issuer.answered(form), self.json(200, {})))
            case _:
                self.json(404, {})

    def place(self):
        parts = urlsplit(self.path)
        return parts.path, dict(parse_qsl(parts.query))

    def guarded(self, do):
        try:
            do()
        except Refused as problem:
            self.json(problem.status, {"error": str(problem)})

    def json(self, status, body):
        self.sent(status, json.dumps(body).encode(), "application/json")

    def page(self, action):
        fields = "".join(f'<input name="{name}">' for name in ("name", "secret", "cancel"))
        self.sent(200, f'<form method="post" action="{html.escape(action)}">{fields}</form>'.encode(), "text/html")

    def redirect(self, where):
        self.sent(302, b"", "text/plain", Location=quote(where, safe=":/?&=%#@+,;~!$'()*[]"))

    def sent(self, status, content, kind, **headers):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Cache-Control": "no-store", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main(cert, key):
    given = json.load(sys.stdin)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.issuer = Issuer(given, f"https://localhost:{server.server_port}")
    print(server.issuer.name, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
