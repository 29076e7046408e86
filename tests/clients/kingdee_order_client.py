"""Takes a sales order through its life in a simulated Kingdee K3Cloud with the vendor's own SDK; prints what it saw as JSON.

usage: kingdee_order_client.py SERVER_URL ACCT_ID USER APP_ID APP_SECRET
"""
import json
import sys

from k3cloud_webapi_sdk.main import K3CloudApiSdk

url, acct, user, app_id, app_secret = sys.argv[1:]
sdk = K3CloudApiSdk(url)
sdk.InitConfig(acct, user, app_id, app_secret, url, lcid=2052, org_num=100)

FORM = "SAL_SaleOrder"
seen = {}


def result(answer):
    return json.loads(answer)["Result"]


def status(answer):
    return result(answer)["ResponseStatus"]


def lines():
    query = {
        "FormId": FORM,
        "FieldKeys": "FID,FDocumentStatus,FSaleOrderEntry_FEntryID,FSeq,FMaterialId.FNumber,FQty,FTaxPrice",
        "FilterString": "FID in (%d)" % order,
        "OrderString": "FID ASC,FSaleOrderEntry_FEntryID ASC",
        "StartRow": 0,
        "Limit": 2000,
        "TopRowCount": 0,
    }
    return json.loads(sdk.ExecuteBillQuery(query))


model = {
    "FID": 0,
    "FBillTypeID": {"FNUMBER": "XSDD01_SYS"},
    "FBillNo": "SDK-1",
    "FDate": "2026-03-01",
    "FSaleOrgId": {"FNumber": "100"},
    "FCustId": {"FNumber": "CUST1"},
    "FSaleOrderFinance": {"FSettleCurrId": {"FNumber": "PRE001"}},
    "FSaleOrderEntry": [
        {"FMaterialId": {"FNumber": "M1"}, "FUnitID": {"FNumber": "Pcs"}, "FQty": 2, "FTaxPrice": 9.5},
        {"FMaterialId": {"FNumber": "M2"}, "FUnitID": {"FNumber": "Pcs"}, "FQty": 3, "FTaxPrice": 1.25},
    ],
}
save = {"Model": model, "IsVerifyBaseDataField": "true", "NeedReturnFields": ["FBillNo", "FSaleOrderEntry.FEntryID"]}
seen["saved"] = result(sdk.Save(FORM, save))
order = seen["saved"]["Id"]
entries = [line["FEntryID"] for line in seen["saved"]["NeedReturnData"][0]["FSaleOrderEntry"]]
ids = {"Ids": str(order)}

seen["submit"] = status(sdk.Submit(FORM, ids))
seen["audit"] = status(sdk.Audit(FORM, ids))
change = {
    "IsDeleteEntry": "false",
    "NeedUpDateFields": ["FSaleOrderEntry", "FQty"],
    "Model": {"FID": order, "FSaleOrderEntry": [{"FEntryID": entries[1], "FQty": 5, "FTaxPrice": 7}]},
}
seen["audited"] = status(sdk.Save(FORM, change))
pushed = {"Ids": str(order), "TargetFormId": "SAL_DELIVERYNOTICE", "IsEnableDefaultRule": "true"}
seen["pushed"] = result(sdk.Push(FORM, pushed))
notice = seen["pushed"]["ResponseStatus"]["SuccessEntitys"][0]["Id"]
seen["notice"] = json.loads(
    sdk.ExecuteBillQuery(
        {
            "FormId": "SAL_DELIVERYNOTICE",
            "FieldKeys": "FID,FCustomerID.FNumber,FEntity_FEntryID,FMaterialID.FNumber,FQty,FSrcBillNo",
            "FilterString": "FSrcBillNo='SDK-1'",
            "OrderString": "FID ASC,FEntity_FEntryID ASC",
        }
    )
)
seen["notice_id"] = notice
seen["unaudit"] = status(sdk.UnAudit(FORM, ids))
seen["changed"] = status(sdk.Save(FORM, change))
seen["lines"] = lines()
seen["submit_again"] = status(sdk.Submit(FORM, ids))
seen["audit_again"] = status(sdk.Audit(FORM, ids))
seen["view"] = result(sdk.View(FORM, {"Number": "SDK-1"}))["Result"]
seen["entries"] = entries
print(json.dumps(seen))
