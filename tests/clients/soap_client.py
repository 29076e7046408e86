"""zeep, a well-known SOAP client, against the in-house service: it reads the WSDL, and checks what it gets by it.

    soap_client.py ADDRESS [CERTIFICATE KEY AUTHORITY]
"""

import sys

import requests
import zeep
from zeep.exceptions import Fault
from zeep.transports import Transport

address = sys.argv[1]
http = requests.Session()
http.trust_env = False  # an authority named by the environment would come before ours
if len(sys.argv) > 2:
    http.cert, http.verify = (sys.argv[2], sys.argv[3]), sys.argv[4]
client = zeep.Client(f"{address}/?wsdl", transport=Transport(session=http))
# the WSDL names the host by which the service was asked for it
service = client.service


def refused(call, code, **arguments):
    try:
        call(**arguments)
    except Fault as fault:
        assert fault.code.split(":")[-1] == code, fault.code
        return
    raise AssertionError(f"{code} was expected")


refused(service.Login, "Client.NotAllowed", user="sync", password="wrong")
refused(service.ReadCustomers, "Client.SessionExpired", ids={"string": ["1"]})
header = {"Session": {"id": service.Login(user="sync", password="correct-horse")}}


def call(name, **arguments):
    return getattr(service, name)(**arguments, _soapheaders=header) or []


customer = client.get_type("ns0:Customer")
saved = call("SaveCustomers", customers={"Customer": [
    customer(code="Z1", name="阿克米 & Co", phone="1", credit="12.50", active="true"),
    customer(code="Z2", name="Bolt", phone="1" * 21),
    customer(code="Z1", name="again"),
]})
assert [one.error for one in saved] == [None, "TOO_LONG", "DUPLICATE"], saved
first = saved[0].id
assert saved[2].id == first and saved[1].field == "phone", saved
read = call("ReadCustomers", ids={"string": [first, "999999"]})
assert len(read) == 1 and read[0].name == "阿克米 & Co" and read[0].lastOrder is None, read
assert len(read[0].changed) == 15, read
# what is left out stays, what is empty is emptied
call("SaveCustomers", customers={"Customer": [customer(id=first, phone="", lastOrder="20261123 143059")]})
[found] = call("FindCustomers", field="code", values={"string": ["Z1"]})
assert (found.name, found.phone, found.lastOrder) == ("阿克米 & Co", None, "20261123 143059"), found
listed = call("QueryCustomers", since=read[0].changed, afterId=None, maxRows=100, idsOnly=True)
assert first in [one.id for one in listed] and listed[-1].code is None, listed
assert [one.error for one in call("DeleteCustomers", ids={"string": [first, first]})] == [None, "NOT_FOUND"]
assert call("ReadCustomers", ids={"string": [first]}) == []
print("ok")
