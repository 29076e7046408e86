"""Drives a simulated Kingdee K3Cloud with the vendor's own SDK; prints what it saw as JSON.

usage: kingdee_client.py SERVER_URL ACCT_ID USER APP_ID APP_SECRET
"""
import json
import sys

from k3cloud_webapi_sdk.main import K3CloudApiSdk

url, acct, user, app_id, app_secret = sys.argv[1:]
sdk = K3CloudApiSdk(url)
sdk.InitConfig(acct, user, app_id, app_secret, url, lcid=2052, org_num=100)

seen = {}
seen["centres"] = json.loads(sdk.GetDataCenters())
seen["pages"] = []
start = 0
while True:
    page = json.loads(
        sdk.ExecuteBillQuery(
            {
                "FormId": "BD_Customer",
                "FieldKeys": "FCUSTID,FNumber,FName,FModifyDate",
                "FilterString": "FForbidStatus='A' and FNumber like 'K%'",
                "OrderString": "FCUSTID ASC",
                "StartRow": start,
                "Limit": 100,
                "TopRowCount": 0,
            }
        )
    )
    seen["pages"].append([row[0] for row in page])
    if len(page) < 100:
        break
    start += 100
saved = json.loads(
    sdk.Save("BD_Customer", {"Model": {"FNumber": "SDK1", "FName": " 上海某某公司 ", "F_RT_Credit": 10.005}})
)
seen["saved"] = saved["Result"]
seen["again"] = json.loads(sdk.Save("BD_Customer", {"Model": {"FNumber": "SDK1", "FName": "x"}}))["Result"]
batch = {"Model": [{"FNumber": "B1", "FName": "b1"}, {"FNumber": "B2"}, {"FNumber": "B3", "FName": "b3"}]}
seen["batch"] = json.loads(sdk.BatchSave("BD_Customer", batch))["Result"]
later = {"Model": [{"FNumber": "B4", "FName": "b4"}]}
seen["later"] = json.loads(sdk.BatchSaveQuery("BD_Customer", later))["Result"]
seen["view"] = json.loads(sdk.View("BD_Customer", {"Number": "SDK1"}))["Result"]["Result"]
objects = sdk.BillQuery({"FormId": "BD_Customer", "FieldKeys": "FNumber,FName", "FilterString": "FNumber='SDK1'"})
seen["objects"] = json.loads(objects)
seen["bad_field"] = json.loads(sdk.ExecuteBillQuery({"FormId": "BD_Customer", "FieldKeys": "FID"}))


def status(answer):
    return json.loads(answer)["Result"]["ResponseStatus"]


seen["submit"] = status(sdk.Submit("BD_Customer", {"Numbers": ["SDK1"]}))
seen["audit"] = status(sdk.Audit("BD_Customer", {"Numbers": ["SDK1"]}))
audited = {"Model": {"FCUSTID": saved["Result"]["Id"], "FName": "edited"}}
seen["audited"] = status(sdk.Save("BD_Customer", audited))
seen["delete_audited"] = status(sdk.Delete("BD_Customer", {"Numbers": ["SDK1"]}))
seen["unaudit"] = status(sdk.UnAudit("BD_Customer", {"Numbers": ["SDK1"]}))
seen["forbid"] = status(sdk.ExcuteOperation("BD_Customer", "Forbid", {"Numbers": ["SDK1"]}))
seen["deleted"] = status(sdk.Delete("BD_Customer", {"Numbers": ["B1"]}))
info = json.loads(sdk.QueryBusinessInfo({"FormId": "BD_Customer"}))
seen["keys"] = [field["Key"] for field in info["Result"]["NeedReturnData"]["Entrys"][0]["Fields"]]

wrong = K3CloudApiSdk(url)
wrong.InitConfig(acct, user, app_id, "wrong", url)
seen["wrong_secret"] = json.loads(wrong.View("BD_Customer", {"Number": "SDK1"}))
print(json.dumps(seen))
