"""Drives a simulated SAP Gateway with pyodata, a client of OData version 2; prints what it saw as JSON.

usage: sap_client.py BASE_URL USER PASSWORD
"""
import json
import sys

import pyodata
import requests
from pyodata.exceptions import HttpError
from pyodata.v2.model import Config, PolicyIgnore, ParserError

base, user, password = sys.argv[1:]
url = f"{base}/sap/opu/odata/sap/API_BUSINESS_PARTNER/"
seen = {}


def attempt(work):
    try:
        return work()
    except HttpError as error:
        return [error.response.status_code, str(getattr(error.response, "text", getattr(error.response, "body", "")))]


session = requests.Session()
session.auth = (user, password)
config = Config(default_error_policy=PolicyIgnore())
client = pyodata.Client(url, session, config=config)
partners = client.entity_sets.A_BusinessPartner
kind = client.schema.entity_type("A_BusinessPartnerType")
seen["keys"] = [key.name for key in kind.key_proprties]
seen["types"] = {name: kind.proprty(name).typ.name for name in ["YY1_Credit_bus", "YY1_Seen_bus", "CreationDate"]}

# without a token, nothing is written
seen["no_token"] = attempt(lambda: partners.create_entity().set(OrganizationBPName1="X").execute())[:1]
head = session.head(url, headers={"x-csrf-token": "fetch"})
token = head.headers["x-csrf-token"]
seen["cookies"] = sorted(session.cookies.keys())
session.headers["x-csrf-token"] = "wrong"
refused = session.post(url + "A_BusinessPartner", json={"OrganizationBPName1": "X"})
seen["wrong_token"] = [refused.status_code, refused.headers["x-csrf-token"], refused.text]
session.headers["x-csrf-token"] = token

made = partners.create_entity().set(OrganizationBPName1="上海 & Söhne", SearchTerm1="C1", YY1_Credit_bus="12.50").execute()
seen["made"] = [made.BusinessPartner, made.OrganizationBPName1, made.SearchTerm1, str(made.YY1_Credit_bus)]
key = made.BusinessPartner
seen["read"] = partners.get_entity(key).execute().OrganizationBPName1
found = partners.get_entities().filter("SearchTerm1 eq 'C1'").select("BusinessPartner,SearchTerm1").execute()
seen["found"] = [[one.BusinessPartner, one.SearchTerm1] for one in found]
seen["count"] = partners.get_entities().count(inline=True).execute().total_count
page = partners.get_entities().order_by("BusinessPartner desc").skip(1).top(2).execute()
seen["page"] = [one.SearchTerm1 for one in page]

# a change needs the version; pyodata takes it from the record where it is told to
stale = attempt(lambda: partners.update_entity(key).set(SearchTerm1="C2").execute())
seen["without_version"] = stale[0]
session.headers["If-Match"] = made.etag if getattr(made, "etag", None) else "*"
seen["changed"] = attempt(lambda: partners.update_entity(key, method="MERGE").set(SearchTerm1="C2").execute())
seen["after"] = partners.get_entity(key).execute().SearchTerm1
session.headers["If-Match"] = "W/\"'1'\""
seen["stale"] = attempt(lambda: partners.update_entity(key, method="PATCH").set(SearchTerm1="C3").execute())[0]
session.headers["If-Match"] = "*"

# a batch: the second changeset is refused, and the third is done all the same
batch = client.create_batch()
names = ["One", "", "Three"]
for name in names:
    changeset = client.create_changeset()
    changeset.add_request(partners.create_entity().set(OrganizationBPName1=name, SearchTerm1=f"B{name}"))
    batch.add_request(changeset)
seen["batch"] = attempt(batch.execute)
if isinstance(seen["batch"], list) and not isinstance(seen["batch"][0], int):
    seen["batch"] = [[one.OrganizationBPName1 for one in answers] for answers in seen["batch"]]
good = client.create_batch()
changeset = client.create_changeset()
changeset.add_request(partners.create_entity().set(OrganizationBPName1="Two", SearchTerm1="B2"))
good.add_request(changeset)
good.add_request(partners.get_entity(key))
answers = good.execute()
seen["good"] = [answers[0][0].OrganizationBPName1, answers[1].SearchTerm1]

seen["deleted"] = attempt(lambda: partners.delete_entity(key).execute())
seen["gone"] = attempt(lambda: partners.get_entity(key).execute())[0]
seen["xml"] = session.get(url + "A_BusinessPartner('1')", headers={"accept": "*/*"}).text
print(json.dumps(seen))
