"""Drives a simulated Zoho CRM with the vendor's own Python SDK (zohocrmsdk8_0); prints what it saw as JSON.

usage: zoho_client.py BASE_URL CLIENT_ID CLIENT_SECRET REFRESH_TOKEN
"""
import json
import logging
import sys
import tempfile

from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store.file_store import FileStore
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.coql import BodyWrapper as Query, CoqlOperations
from zohocrmsdk.src.com.zoho.crm.api.dc.data_center import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.initializer import Initializer
from zohocrmsdk.src.com.zoho.crm.api.record import (
    APIException,
    BodyWrapper,
    DeleteRecordsParam,
    GetDeletedRecordsHeader,
    GetRecordsParam,
    Record,
    RecordOperations,
    SuccessResponse,
)
from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig

base, client_id, client_secret, refresh_token = sys.argv[1:]
# The SDK's own logging would bury the answer.
logging.disable(logging.CRITICAL)
folder = tempfile.mkdtemp()
Initializer.initialize(
    environment=DataCenter.Environment(base, base + "/oauth/v2/token", base),
    token=OAuthToken(
        client_id=client_id, client_secret=client_secret, refresh_token=refresh_token, find_user=False
    ),
    store=FileStore(folder + "/tokens"),
    sdk_config=SDKConfig(auto_refresh_fields=False, pick_list_validation=False),
    resource_path=folder,
)
accounts = RecordOperations("Accounts")


def told(entry):
    details = {key: str(value) for key, value in (entry.get_details() or {}).items()}
    kind = "ok" if isinstance(entry, SuccessResponse) else "error"
    return [kind, entry.get_code().get_value(), details.get("id"), details.get("api_name")]


def record(fields):
    made = Record()
    for name, value in fields.items():
        made.add_key_value(name, value)
    return made


def body(records):
    wrapper = BodyWrapper()
    wrapper.set_data(records)
    wrapper.set_trigger([])
    return wrapper


seen = {}
pages = []
token = None
while True:
    params = ParameterMap()
    params.add(GetRecordsParam.fields, "Account_Name,Phone,Modified_Time")
    params.add(GetRecordsParam.per_page, 200)
    params.add(GetRecordsParam.sort_order, "asc")
    if token:
        params.add(GetRecordsParam.page_token, token)
    answer = accounts.get_records(params).get_object()
    pages.append([str(one.get_id()) for one in answer.get_data()])
    if not answer.get_info().get_more_records():
        break
    token = answer.get_info().get_next_page_token()
seen["pages"] = pages

query = Query()
query.set_select_query("select Account_Name, Modified_Time from Accounts where Account_Name = '客户 007' limit 10")
seen["coql"] = [one.get_key_value("Account_Name") for one in CoqlOperations().get_records(query).get_object().get_data()]

created = accounts.create_records(
    body([
        record({"Account_Name": " 上海某某公司 ", "Customer_No": "Z1", "Annual_Revenue": 10.005}),
        record({"Phone": "021-1"}),
        record({"Account_Name": "Twice", "Customer_No": "Z1"}),
    ])
)
seen["status"] = created.get_status_code()
seen["created"] = [told(entry) for entry in created.get_object().get_data()]
first = int(seen["created"][0][2])
got = accounts.get_record(first).get_object().get_data()[0]
seen["got"] = [got.get_key_value(name) for name in ("Account_Name", "Customer_No", "Annual_Revenue")]
change = record({"Phone": "021-2"})
change.set_id(first)
missing = record({"Phone": "021-3"})
missing.set_id(999)
updated = accounts.update_records(body([change, missing]))
seen["updated"] = [told(entry) for entry in updated.get_object().get_data()]
params = ParameterMap()
params.add(DeleteRecordsParam.ids, f"{first},999")
seen["deleted"] = [told(entry) for entry in accounts.delete_records(params).get_object().get_data()]
bin = accounts.get_deleted_records(ParameterMap(), HeaderMap()).get_object()
seen["bin"] = [str(one.get_id()) for one in bin.get_data()]
try:
    refused = RecordOperations("Nothings").get_records(ParameterMap()).get_object()
    seen["module"] = refused.get_code().get_value() if isinstance(refused, APIException) else "no error"
except Exception as error:
    seen["module"] = str(getattr(error, "message", error))
print(json.dumps(seen))
