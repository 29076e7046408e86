"""Drives a simulated 用友 YonBIP with yonyouopenapisdk1; prints what it saw as JSON.

usage: yonyou_client.py BASE_URL APP_KEY APP_SECRET EVENTS

EVENTS is a JSON array of pushes and of answers to pushes, each `{signature, timestamp, nonce, encrypt}`.
"""
import json
import sys

from yonbip_open_api_sdk import request_opt, token_opt
from yonbip_open_event_sdk import event_opt

base, key, secret, events = sys.argv[1:]
token_info = {"app_key": key, "app_secret": secret, "token_url": base}


def call(method, path, body=None, params=None, token=None):
    data = None if body is None else json.dumps(body)
    if token:
        answer = request_opt.opt_self_app_request_with_access_token(method, base + path, {}, data, params, token)
    else:
        answer = request_opt.opt_self_app_request_with_cache(method, base + path, {}, data, params, token_info)
    try:
        return [answer.status_code, answer.json()]
    except ValueError:
        return [answer.status_code, answer.text]


seen = {"token": sorted(token_opt.opt_self_token(key, secret, base))}
pages, index = [], 1
while True:
    page = call("post", "/yonbip/digitalModel/merchant/newlist", {"pageIndex": index, "pageSize": 100})[1]["data"]
    pages += [one["id"] for one in page]
    if len(page) < 100:
        break
    index += 1
seen["pages"] = [index, pages]
made = {"data": {"code": "SDK1", "name": {"simplifiedName": "上海某某公司"}, "createOrgCode": "991", "resubmitCheckKey": "k1"}}
seen["made"] = call("post", "/yonbip/digitalModel/merchant/idempotent/newinsert", made)
seen["again"] = call("post", "/yonbip/digitalModel/merchant/idempotent/newinsert", made)
made["data"].pop("resubmitCheckKey")
seen["twice"] = call("post", "/yonbip/digitalModel/merchant/idempotent/newinsert", made)
seen["nameless"] = call("post", "/yonbip/digitalModel/merchant/idempotent/newinsert", {"data": {"code": "X"}})
seen["found"] = call("post", "/yonbip/digitalModel/merchant/newlist", {"code": "SDK1", "pageIndex": 1, "pageSize": 10})
order = {
    "_status": "Insert", "code": "SO1", "salesOrgId": "991", "transactionTypeId": "SO01", "vouchdate": "2026-03-01 00:00:00",
    "agentId": "SDK1", "settlementOrgId": "991", "invoiceAgentId": "SDK1", "orderPrices!currency": "CNY", "payMoney": 19.0,
    "orderDetails": [{"_status": "Insert", "productId": "P1", "qty": 2, "oriTaxUnitPrice": 9.5}],
}
seen["order"] = call("post", "/yonbip/sd/voucherorder/singleSave", {"data": order})
id = seen["order"][1]["data"]["id"]
seen["detail"] = call("get", "/yonbip/sd/voucherorder/detail", params={"id": id})
query = {"pageIndex": 1, "pageSize": 10, "simpleVOs": [{"field": "code", "op": "eq", "value1": "SO1"}]}
seen["heads"] = call("post", "/yonbip/sd/voucherorder/list", query | {"isSum": True})
seen["rows"] = call("post", "/yonbip/sd/voucherorder/list", query)
seen["deleted"] = call("post", "/yonbip/sd/voucherorder/delete", {"data": {"id": [id, 7]}})
seen["no_path"] = call("post", "/yonbip/digitalModel/nothing", {}, token="nonsense")
seen["no_token"] = call("post", "/yonbip/sd/voucherorder/list", query, token="nonsense")
seen["text"] = call("get", "/yonbip/sd/voucherorder/detail", params={"id": id}, token="nonsense")
for name, arguments in {"no_app": ("ak_other", secret), "no_secret": (key, "another")}.items():
    try:
        token_opt.opt_self_token(*arguments, base)
        seen[name] = "no error"
    except Exception as error:
        seen[name] = str(error)
seen["events"] = [event_opt.decrypt_event_encrypt(secret, event) for event in json.loads(events)]
print(json.dumps(seen))
