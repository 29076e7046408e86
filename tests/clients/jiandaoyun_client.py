"""Drives a simulated Jiandaoyun as the vendor's page describes its API; prints what it saw as JSON.

Written from the page, since the vendor's own demo client is in no package registry. Like that demo it escapes what
is not ASCII, leaves out options that are not given, and takes every status of 400 and above for an error.

usage: jiandaoyun_client.py BASE_URL API_KEY APP_ID ENTRY_ID
"""
import json
import sys

import requests

base, key, app_id, entry_id = sys.argv[1:]


class Refused(Exception):
    pass


def post(path, **options):
    body = {name: value for name, value in options.items() if value is not None}
    answer = requests.post(
        base + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + key, "Content-Type": "application/json;charset=utf-8"},
        timeout=5,
    )
    if answer.status_code >= 400:
        raise Refused(answer.text)
    return answer.json()


def data(operation, **options):
    return post("/v5/app/entry/data/" + operation, app_id=app_id, entry_id=entry_id, **options)


def refused(call):
    try:
        call()
    except Refused as error:
        return json.loads(str(error))["code"]
    return None


seen = {"apps": post("/v5/app/list", skip=0, limit=100)["apps"]}
seen["forms"] = post("/v5/app/entry/list", app_id=app_id, skip=0, limit=100)["forms"]
widgets = post("/v5/app/entry/widget/list", app_id=app_id, entry_id=entry_id)["widgets"]
seen["widgets"] = {widget["name"]: widget["type"] for widget in widgets}

pages, last = [], None
while True:
    page = data("list", data_id=last, limit=100)["data"]
    pages.append([row["_id"] for row in page])
    if len(page) < 100:
        break
    last = page[-1]["_id"]
seen["pages"] = pages
seen["default"] = len(data("list")["data"])


def where(field, method, value):
    cond = [{"field": field, "type": "text", "method": method, "value": value}]
    return len(data("list", limit=100, filter={"rel": "and", "cond": cond})["data"])


seen["eq"] = where("_widget_code", "eq", ["C007"])
seen["in"] = where("_widget_code", "in", ["C007", "C008"])
seen["ignored"] = [where("_id", "eq", ["x"]), where("updateTime", "range", ["2999-01-01", None]), where("_widget_code", "odd", ["x"])]

row = {
    "_widget_name": {"value": "上海某某公司"},
    "_widget_since": {"value": "2026-03-01 10:00:00"},
    "_widget_phone": {"value": {"phone": "13800000000"}},
    "_widget_credit": {"value": "no number"},
    "_widget_note": "not wrapped",
    "_widget_unknown": {"value": "x"},
    "_widget_no": {"value": "mine"},
    "_widget_owner": {"value": "zhang"},
}
created = data("create", data=row, is_start_workflow=False, transaction_id="t1")["data"]
seen["created"] = created
seen["again"] = data("create", data=row, transaction_id="t1")["data"]["_id"]
batch = [{"_widget_name": {"value": name}} for name in ("b1", "b2", "b3")]
seen["batch"] = data("batch_create", data_list=batch, transaction_id="t2")
seen["batch_again"] = data("batch_create", data_list=batch, transaction_id="t2")
changes = {"_widget_name": {"value": "other"}, "_widget_phone": {"value": {}}}
seen["updated"] = data("update", data_id=created["_id"], data=changes)["data"]
seen["got"] = data("get", data_id=created["_id"])["data"]
seen["deleted"] = data("delete", data_id=created["_id"])
seen["batch_deleted"] = data("batch_delete", data_ids=seen["batch"]["success_ids"] + ["nobody"])
seen["codes"] = {
    "gone": refused(lambda: data("get", data_id=created["_id"])),
    "null": refused(lambda: data("create", data={"_widget_name": {"value": None}})),
    "limit": refused(lambda: data("list", limit=101)),
    "member": refused(lambda: data("create", data={"_widget_owner": {"value": "nobody"}})),
    "batch": refused(lambda: data("batch_delete", data_ids=["x"] * 101)),
    "form": refused(lambda: post("/v5/app/entry/data/list", app_id=app_id)),
}
key = "another"
seen["codes"]["key"] = refused(lambda: data("list"))
print(json.dumps(seen))
