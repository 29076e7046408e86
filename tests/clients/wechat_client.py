"""Drives a simulated mini program with wechatpy; prints what it saw as JSON.

usage: wechat_client.py BASE_URL APP_ID SECRET
"""
import json
import sys

from requests.adapters import HTTPAdapter
from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatClientException

base, app_id, secret = sys.argv[1:]


class Local(HTTPAdapter):
    """The client knows the vendor's host by itself."""

    def send(self, request, **kwargs):
        request.url = request.url.replace("https://api.weixin.qq.com", base)
        return super().send(request, **kwargs)


def client(secret=secret):
    made = WeChatClient(app_id, secret)
    made._http.mount("https://api.weixin.qq.com", Local())
    return made


wechat = client()
ROOT = "https://api.weixin.qq.com/"


def post(path, body):
    try:
        return wechat.post(ROOT + path, data=body)
    except WeChatClientException as error:
        return [error.errcode, error.errmsg]


seen = {}
orders, last = [], ""
while True:
    page = post("wxa/sec/order/get_order_list", {"page_size": 100, "last_index": last})
    orders += [one["transaction_id"] for one in page["order_list"]]
    last = page["last_index"]
    if not page["has_more"]:
        break
seen["orders"] = orders
seen["login"] = wechat.get(ROOT + "sns/jscode2session", params={
    "appid": app_id, "secret": secret, "js_code": "login-o1", "grant_type": "authorization_code"})
seen["phone"] = post("wxa/business/getuserphonenumber", {"code": "phone-13800000000"})
seen["phone_again"] = post("wxa/business/getuserphonenumber", {"code": "phone-13800000000"})
one = orders[0]
ship = {
    "order_key": {"order_number_type": 2, "transaction_id": one}, "logistics_type": 1, "delivery_mode": 1,
    "is_all_delivered": True, "upload_time": "2026-03-01T10:00:00.000+08:00", "payer": {"openid": "o1"},
    "shipping_list": [{"tracking_no": "YT1", "express_company": "YTO", "item_desc": "香蕉*1"}],
}
seen["shipped"] = [post("wxa/sec/order/upload_shipping_info", ship) for _ in range(3)]
seen["order"] = post("wxa/sec/order/get_order", {"transaction_id": one})
seen["missing"] = post("wxa/sec/order/get_order", {"transaction_id": "4200000000"})
# the token that it keeps is over: it asks for another and goes on
wechat.session.set(wechat.access_token_key, "nonsense")
seen["renewed"] = post("wxa/sec/order/is_trade_managed", {"appid": app_id})
try:
    client("another").fetch_access_token()
except WeChatClientException as error:
    seen["no_secret"] = error.errcode
print(json.dumps(seen))
