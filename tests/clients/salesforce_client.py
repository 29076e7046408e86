"""Drives a simulated Salesforce with the independent client simple-salesforce; prints what it saw as JSON.

usage: salesforce_client.py BASE_URL CLIENT_ID CLIENT_SECRET USERNAME KEY_FILE
"""
import json
import sys

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError

base, client_id, client_secret, username, key_file = sys.argv[1:]


class Local(HTTPAdapter):
    """The client writes https and the vendor's hosts itself; this sends those calls to the simulator."""

    def send(self, request, *args, **kwargs):
        path = "/" + request.url.split("://", 1)[1].split("/", 1)[1]
        request.url = base + path
        return super().send(request, *args, **kwargs)


session = requests.Session()
session.mount("https://", Local())

seen = {}
by_key = Salesforce(username=username, consumer_key=client_id, privatekey_file=key_file, session=session, version="67.0")
seen["by_key"] = by_key.query("SELECT COUNT() FROM Account")["totalSize"]
sf = Salesforce(
    consumer_key=client_id, consumer_secret=client_secret, domain="acme.my", session=session, version="67.0"
)
seen["fields"] = sorted(field["name"] for field in sf.Account.describe()["fields"])
seen["objects"] = [entry["name"] for entry in sf.describe()["sobjects"]]
seen["first"] = sf.query("SELECT Id, Name FROM Account ORDER BY Id LIMIT 2")["records"]
seen["all"] = [record["Id"] for record in sf.query_all("SELECT Id FROM Account ORDER BY Id")["records"]]
made = sf.Account.create({"Name": "  上海某某公司 ", "Phone": "021-1", "AnnualRevenue": "10.005", "Since__c": "2026-03-01"})
seen["made"] = made
seen["got"] = sf.Account.get(made["id"])
seen["updated"] = sf.Account.update(made["id"], {"Phone": "021-2", "AnnualRevenue": None})
seen["changed"] = sf.query(f"SELECT Phone, AnnualRevenue FROM Account WHERE Id = '{made['id']}'")["records"][0]
seen["upserted"] = [
    sf.Account.upsert("External_Key__c/K1", {"Name": "By key"}),
    sf.Account.upsert("External_Key__c/K1", {"Name": "By key again"}),
]
for name, work in {
    "missing": lambda: sf.Account.get("001000000000000AAA"),
    "nameless": lambda: sf.Account.create({"Phone": "1"}),
    "twice": lambda: sf.Account.create({"Name": "Twice", "External_Key__c": "K1"}),
    "malformed": lambda: sf.query("SELECT Id FROM Account WHERE Name = Acme"),
}.items():
    try:
        work()
        seen[name] = "no error"
    except SalesforceError as error:
        seen[name] = [error.status, error.content[0]["errorCode"], error.content[0]["message"]]
mixed = {
    "allOrNone": False,
    "records": [
        {"attributes": {"type": "Contact"}, "LastName": "Wang", "AccountId": made["id"]},
        {"attributes": {"type": "Contact"}, "FirstName": "nobody"},
    ],
}
seen["mixed"] = sf.restful("composite/sobjects", method="POST", json=mixed)
seen["deleted"] = sf.Account.delete(made["id"])
seen["bin"] = sf.query_all(f"SELECT Id, IsDeleted FROM Account WHERE Id = '{made['id']}'", include_deleted=True)["records"]
seen["limits"] = sf.limits()["DailyApiRequests"]["Max"]
seen["usage"] = sf.api_usage["api-usage"].total
print(json.dumps(seen))
