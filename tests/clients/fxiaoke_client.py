"""Drives a simulated Fxiaoke with the independent client fxiaoke-python; prints what it saw as JSON.

usage: fxiaoke_client.py BASE_URL APP_ID APP_SECRET PERMANENT_CODE OPEN_USER_ID
"""
import json
import logging
import sys

from fxiaoke.api import FxiaokeApi
from fxiaoke.baseObj import baseObj
from requests.adapters import HTTPAdapter

base, app_id, app_secret, permanent_code, user = sys.argv[1:]
# The client's own logging would bury the answer.
logging.disable(logging.CRITICAL)


class Local(HTTPAdapter):
    """The client has the vendor's host written into it; this sends those calls to the simulator."""

    def send(self, request, *args, **kwargs):
        request.url = request.url.replace("https://open.fxiaoke.com", base)
        return super().send(request, *args, **kwargs)


api = FxiaokeApi.init(app_id, app_secret, permanent_code, open_user_id=user)
api._session.requests.mount("https://open.fxiaoke.com", Local())

seen = {}
account = baseObj(dataObjectApiName="AccountObj")
describe = account.describe()
seen["fields"] = sorted(describe["describe"]["fields"])
seen["all"] = [record["_id"] for record in account.query(limit=100)]
seen["filtered"] = [
    record["name"]
    for record in account.query(
        filters=[{"field_name": "name", "operator": "EQ", "field_values": ["客户 007"]}],
        orders=[{"fieldName": "last_modified_time", "isAsc": True}],
        fieldProjection=["_id", "name"],
    )
]
created = account.create(object_data={"name": "  上海某某公司 ", "tel": "021-1", "field_credit__c": "10.005"})
seen["created"] = created["dataId"]
seen["got"] = account.get(created["dataId"])
custom = baseObj(dataObjectApiName="object_demo__c")
custom_id = custom.create(object_data={"name": "own", "field_n__c": "1"})["dataId"]
seen["custom"] = [record["_id"] for record in custom.query()]
seen["custom_id"] = custom_id
try:
    account.get("000000000000000000000000")
    seen["missing"] = "no error"
except RuntimeError as error:
    seen["missing"] = str(error)
product = baseObj(dataObjectApiName="ProductObj").create(object_data={"name": "螺栓"})["dataId"]
order = baseObj(dataObjectApiName="SalesOrderObj").create(
    object_data={"account_id": created["dataId"], "order_time": 1700000000000},
    details={
        "SalesOrderProductObj": [
            {"product_id": product, "quantity": "2", "price": "9.50"},
            {"product_id": product, "quantity": "3", "price": "1.25"},
        ]
    },
)
seen["order"] = order["dataId"]
seen["lines"] = [
    [line["order_id"], line["quantity"], line["price"]]
    for line in baseObj(dataObjectApiName="SalesOrderProductObj").query(
        filters=[{"field_name": "order_id", "operator": "EQ", "field_values": [order["dataId"]]}],
        orders=[{"fieldName": "_id", "isAsc": True}],
    )
]
print(json.dumps(seen))
