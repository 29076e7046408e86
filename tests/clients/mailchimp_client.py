"""Drives a simulated Mailchimp with the vendor's own Python client (mailchimp-marketing); prints what it saw as JSON.

usage: mailchimp_client.py BASE_URL API_KEY LIST_ID
"""
import hashlib
import json
import sys

from mailchimp_marketing import Client
from mailchimp_marketing.api_client import ApiClientError

base, key, audience = sys.argv[1:]
client = Client()
client.set_config({"api_key": key, "server": "us21"})
# The client makes its address of the data centre.
client.api_client.host = f"{base}/3.0"
client.api_client.server = None

seen = {}


def name_of(address):
    return hashlib.md5(address.lower().encode()).hexdigest()


def refused(work, *arguments, **named):
    try:
        work(*arguments, **named)
    except ApiClientError as error:
        body = json.loads(error.text)
        return [error.status_code, body["title"], (body.get("errors") or [{}])[0].get("field")]
    return None


seen["ping"] = client.ping.get()["health_status"]
seen["account"] = client.root.get_root()["account_id"]
seen["tags"] = [field["tag"] for field in client.lists.get_list_merge_fields(audience)["merge_fields"]]

found, offset = [], 0
while True:
    page = client.lists.get_list_members_info(audience, count=100, offset=offset, sort_field="last_changed", sort_dir="ASC")
    found += [member["contact_id"] for member in page["members"]]
    offset += 100
    if offset >= page["total_items"]:
        break
seen["ids"] = found

made = client.lists.set_list_member(
    audience, name_of("Shang@Example.com"),
    {"email_address": "Shang@Example.com", "status_if_new": "subscribed", "merge_fields": {"FNAME": "上海", "CREDIT": 10.5}},
)
seen["made"] = [made["id"] == name_of("shang@example.com"), made["status"], made["merge_fields"]["CREDIT"]]
contact = made["contact_id"]
again = client.lists.set_list_member(audience, name_of("shang@example.com"), {"email_address": "shang@example.com", "merge_fields": {"FNAME": "北京"}})
seen["again"] = [again["contact_id"] == contact, again["merge_fields"]["FNAME"]]
seen["by_contact"] = client.lists.get_list_member(audience, contact)["email_address"]
moved = client.lists.update_list_member(audience, contact, {"email_address": "new@example.com", "merge_fields": {"CREDIT": ""}})
seen["moved"] = [moved["contact_id"] == contact, moved["id"] == name_of("new@example.com"), moved["merge_fields"]["CREDIT"]]
seen["old_name"] = refused(client.lists.get_list_member, audience, name_of("shang@example.com"))

batch = client.lists.batch_list_members(
    audience,
    {
        "members": [
            {"email_address": "b1@example.com", "status": "subscribed"},
            {"email_address": "new@example.com", "status": "subscribed"},
            {"email_address": "nobody", "status": "subscribed"},
            {"email_address": "b2@example.com", "status": "subscribed", "merge_fields": {"BORN": "soon"}},
        ],
        "update_existing": False,
    },
)
seen["batch"] = [
    [member["email_address"] for member in batch["new_members"]],
    sorted([error["email_address"], error["error_code"], error["field"]] for error in batch["errors"]),
    batch["error_count"],
]
seen["twice"] = refused(client.lists.add_list_member, audience, {"email_address": "new@example.com", "status": "subscribed"})
seen["field"] = refused(client.lists.update_list_member, audience, contact, {"merge_fields": {"BORN": "soon"}})

client.lists.delete_list_member(audience, contact)
seen["archived"] = client.lists.get_list_member(audience, contact)["status"]
seen["revived"] = client.lists.set_list_member(
    audience, name_of("new@example.com"), {"email_address": "new@example.com", "status_if_new": "subscribed"}
)["contact_id"] == contact
client.lists.delete_list_member_permanent(audience, contact)
seen["gone"] = refused(client.lists.get_list_member, audience, contact)
seen["forgotten"] = refused(client.lists.add_list_member, audience, {"email_address": "new@example.com", "status": "subscribed"})
print(json.dumps(seen))
