"""Sends encrypted messages to a door for webhooks with wechatpy, and opens what is answered; prints what it saw as JSON.

usage: wechat_pushes.py DOOR TOKEN ENCODING_AES_KEY APP_ID
"""
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import xmltodict
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import WeChatSigner
from wechatpy.enterprise.crypto import WeChatCrypto as WorkCrypto

door, token, key, app_id = sys.argv[1:]
now = str(int(time.time()))
seen = {}


def ask(system, query, body=None, method="POST"):
    url = f"{door}/hooks/{system}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(url, data=None if body is None else body.encode(), method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]


def sealed(crypto, message, nonce="n1"):
    return xmltodict.parse(crypto.encrypt_message(message, nonce, now))["xml"]


def push(system, crypto, message, form):
    parts = sealed(crypto, message)
    query = {"msg_signature": parts["MsgSignature"], "timestamp": now, "nonce": "n1", "encrypt_type": "aes"}
    body = json.dumps({"Encrypt": parts["Encrypt"]})
    if form == "xml":
        body = f"<xml><ToUserName><![CDATA[gh]]></ToUserName><Encrypt><![CDATA[{parts['Encrypt']}]]></Encrypt></xml>"
    return ask(system, query, body)


XML = "<xml><MsgType><![CDATA[event]]></MsgType><transaction_id><![CDATA[{}]]></transaction_id></xml>"
ours, others = WeChatCrypto(token, key, app_id), WeChatCrypto(token, key, "wxother")
signer = WeChatSigner()
signer.add_data(token, now, "n1")
seen["question"] = ask("mini", {"signature": signer.signature, "timestamp": now, "nonce": "n1", "echostr": "7391"}, method="GET")
seen["xml"] = push("mini", ours, XML.format("4200000001"), "xml")
seen["json"] = push("mini", ours, json.dumps({"MsgType": "event", "transaction_id": "4200000002"}), "json")
seen["long"] = push("mini", ours, XML.format("4200000003") + " " * 100_000, "xml")
seen["other"] = push("mini", others, XML.format("4200000004"), "xml")
seen["forged"] = push("mini", WeChatCrypto("another", key, app_id), XML.format("4200000005"), "xml")
seen["key"] = push("mini", WeChatCrypto(token, "z" * 43, app_id), XML.format("4200000006"), "xml")

# 企业微信: the question is encrypted, too, and so are our answers
work = WorkCrypto(token, key, app_id)
parts = sealed(work, "1616140317555161061")
query = {"msg_signature": parts["MsgSignature"], "timestamp": now, "nonce": "n1", "echostr": parts["Encrypt"]}
seen["work_question"] = ask("work", query, method="GET")
status, answer = push("work", work, XML.format("4200000007"), "xml")
told = xmltodict.parse(answer)["xml"]
opened = work.decrypt_message(answer, told["MsgSignature"], told["TimeStamp"], told["Nonce"])
seen["work_answer"] = [status, opened if isinstance(opened, str) else opened.decode()]
print(json.dumps(seen))
