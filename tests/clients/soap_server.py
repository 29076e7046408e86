"""A SOAP 1.1 service as in-house systems have them, made with spyne: customers, in memory.

What it is like: a session that a login opens and that travels in the SOAP header; every field a text; moments as
`20261123 143059` in the local time of Asia/Shanghai; nothing is an empty element; an element that is left out of a
save is left as it is; errors are SOAP faults with status 500, and errors of single records stand in the answer. The
schema is checked, so the order of elements matters.

`/door/NAME` takes and gives JSON and is no part of the service: through it a test looks inside, plays the other
user, and makes trouble. The first line printed is the port. It ends when its input ends.

    soap_server.py [CERTIFICATE_WITH_KEY AUTHORITY]     with both, clients need a certificate of that authority
"""

import datetime
import importlib
import io
import json
import logging
import operator
import os
import socket
import ssl
import sys
import threading
import time
import uuid
import zoneinfo
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import six
from lxml import etree

# spyne brings a six of its own, whose modules Python 3.12 does not import any more; the real one takes its place
six.get_function_name = operator.attrgetter("__name__")
sys.modules["spyne.util.six"] = six
for moved in ["moves", "moves.urllib", "moves.urllib.parse", "moves.http_cookies", "moves.collections_abc"]:
    sys.modules[f"spyne.util.six.{moved}"] = importlib.import_module(f"six.{moved}")

from spyne import Application, Array, Boolean, ComplexModel, Fault, Integer, ServiceBase, Unicode, rpc
from spyne.protocol.soap import Soap11
from spyne.server.wsgi import WsgiApplication

NAMESPACE = "urn:example:warehouse"
ZONE = zoneinfo.ZoneInfo("Asia/Shanghai")
WRITABLE = ["code", "name", "phone", "credit", "active", "lastOrder"]
USER, PASSWORD = "sync", "correct-horse"


class Session(ComplexModel):
    __namespace__ = NAMESPACE
    _type_info = [("id", Unicode)]


class Customer(ComplexModel):
    __namespace__ = NAMESPACE
    _type_info = [(name, Unicode) for name in ["id", *WRITABLE, "changed"]]


class SaveResult(ComplexModel):
    __namespace__ = NAMESPACE
    _type_info = [("id", Unicode), ("error", Unicode), ("field", Unicode), ("message", Unicode)]


class Store:
    """All that there is; every method is called with the lock held."""

    def __init__(self):
        self.lock = threading.RLock()
        self.customers = {}
        self.sessions = set()
        self.last_id = 0
        self.calls = []
        self.faults = []

    def stamp(self, moment=None):
        moment = datetime.datetime.now(ZONE) if moment is None else moment
        return moment.strftime("%Y%m%d %H%M%S")

    def put(self, customer, changes, changed=None):
        customer.update({name: value for name, value in changes.items() if value is not None})
        customer["changed"] = changed or self.stamp()

    def insert(self, changes, changed=None):
        self.last_id += 1
        customer = dict.fromkeys(WRITABLE, "") | {"id": str(self.last_id)}
        self.customers[customer["id"]] = customer
        self.put(customer, changes, changed)
        return customer["id"]

    def strike(self, operation):
        """The first trouble that is meant for this operation, which is then over."""
        for fault in self.faults:
            if fault["operation"] == operation:
                self.faults.remove(fault)
                return fault
        return None


STORE = Store()


def signed_in(context):
    session = context.in_header
    if session is None or session.id not in STORE.sessions:
        raise Fault("Client.SessionExpired", "the session is over; log in again")
    fault = STORE.strike("Busy")
    if fault:
        raise Fault("Client.Busy", "too many calls", detail={"retryAfter": str(fault["seconds"])})


def shown(customer):
    return Customer(**customer)


class Warehouse(ServiceBase):
    __in_header__ = Session

    @rpc(Unicode, Unicode, _returns=Unicode)
    def Login(context, user, password):
        with STORE.lock:
            if (user, password) != (USER, PASSWORD):
                raise Fault("Client.NotAllowed", "wrong user or password")
            session = uuid.uuid4().hex
            STORE.sessions.add(session)
            return session

    @rpc(Unicode, Unicode, Integer, Boolean, _returns=Array(Customer))
    def QueryCustomers(context, since, afterId, maxRows, idsOnly):
        with STORE.lock:
            signed_in(context)
            found = sorted(STORE.customers.values(), key=lambda customer: int(customer["id"]))
            found = [customer for customer in found if int(customer["id"]) > int(afterId or 0)]
            found = [customer for customer in found if customer["changed"] >= (since or "")]
            found = found[: min(maxRows or 100, 100)]
            if idsOnly:
                return [Customer(id=customer["id"]) for customer in found]
            return [shown(customer) for customer in found]

    @rpc(Array(Unicode), _returns=Array(Customer))
    def ReadCustomers(context, ids):
        with STORE.lock:
            signed_in(context)
            return [shown(STORE.customers[one]) for one in ids or [] if one in STORE.customers]

    @rpc(Unicode, Array(Unicode), _returns=Array(Customer))
    def FindCustomers(context, field, values):
        with STORE.lock:
            signed_in(context)
            if field not in WRITABLE:
                raise Fault("Client.Field", f"there is no field {field}")
            return [shown(one) for one in STORE.customers.values() if one[field] in (values or [])]

    @rpc(Array(Customer), _returns=Array(SaveResult))
    def SaveCustomers(context, customers):
        with STORE.lock:
            signed_in(context)
            if len(customers or []) > 50:
                raise Fault("Client.TooMany", "at most 50 customers in a call")
            return [save(one) for one in customers or []]

    @rpc(Array(Unicode), _returns=Array(SaveResult))
    def DeleteCustomers(context, ids):
        with STORE.lock:
            signed_in(context)
            return [
                SaveResult(id=one, error="" if STORE.customers.pop(one, None) else "NOT_FOUND") for one in ids or []
            ]


def save(one):
    changes = {name: getattr(one, name) for name in WRITABLE}
    if len(changes["phone"] or "") > 20:
        return SaveResult(id=one.id, error="TOO_LONG", field="phone", message="电话最多 20 个字符")
    if one.id:
        if one.id not in STORE.customers:
            return SaveResult(id=one.id, error="NOT_FOUND", message="there is no such customer")
        STORE.put(STORE.customers[one.id], changes)
        return SaveResult(id=one.id, error="")
    for other in STORE.customers.values():
        if changes["code"] and other["code"] == changes["code"]:
            return SaveResult(id=other["id"], error="DUPLICATE", field="code", message="编码已存在")
    return SaveResult(id=STORE.insert(changes), error="")


def door(name, asked):
    with STORE.lock:
        if name == "records":
            return list(STORE.customers.values())
        if name == "insert":
            return [STORE.insert(one, one.pop("changed", None)) for one in asked]
        if name == "edit":
            STORE.put(STORE.customers[asked.pop("id")], asked)
        elif name == "remove":
            return STORE.customers.pop(asked["id"], None) is not None
        elif name == "calls":
            return STORE.calls
        elif name == "forget":
            STORE.calls.clear()
        elif name == "end_sessions":
            STORE.sessions.clear()
        elif name == "fault":
            STORE.faults.append(asked)
        elif name == "faults":
            return STORE.faults
        else:
            raise KeyError(name)
        return None


def answered(start, status, kind, text):
    body = text.encode()
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def called(body):
    """The name of the operation that an envelope asks for."""
    try:
        return etree.QName(etree.fromstring(body).find("{*}Body")[0]).localname
    except (etree.XMLSyntaxError, TypeError, IndexError):
        return "?"


def application():
    service = Application(
        [Warehouse], NAMESPACE, name="Warehouse", in_protocol=Soap11(validator="lxml"), out_protocol=Soap11()
    )
    soap = WsgiApplication(service)

    def serve(environ, start):
        path = environ["PATH_INFO"]
        if path.startswith("/door/"):
            asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"null")
            told = door(path.removeprefix("/door/"), asked)
            return answered(start, "200 OK", "application/json", json.dumps(told))
        fault = None
        if environ["REQUEST_METHOD"] == "POST":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            operation = called(body)
            with STORE.lock:
                STORE.calls.append(operation)
                fault = STORE.strike(operation)
        if fault and fault["kind"] == "status":
            return answered(start, fault["status"], "text/html", "<html><body>no</body></html>")
        if fault and fault["kind"] == "html":
            return answered(start, "200 OK", "text/html", "<!DOCTYPE html><html><body>hello</body></html>")
        if fault and fault["kind"] == "cut":
            list(soap(environ, lambda *_: None))
            environ["rowtwin.connection"].shutdown(socket.SHUT_RDWR)
            return answered(start, "504 Gateway Timeout", "text/plain", "")
        return soap(environ, start)

    return serve


class Handler(WSGIRequestHandler):
    def get_environ(self):
        return super().get_environ() | {"rowtwin.connection": self.connection}

    def log_message(self, *_):
        pass


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a connection that was cut on purpose


def main():
    logging.getLogger("spyne").setLevel(logging.CRITICAL)  # every fault would be told with a traceback
    server = make_server("127.0.0.1", 0, application(), Server, Handler)
    if len(sys.argv) == 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
        context.load_verify_locations(sys.argv[2])
        context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


main()
