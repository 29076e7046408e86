"""Drives a simulated Odoo with Odoo's own client library (odoo-client-lib); prints what it saw as JSON.

usage: odoo_client.py PORT DATABASE LOGIN USER_ID API_KEY
"""
import json
import sys

import odoolib

port, database, login, user_id, key = sys.argv[1:]


def attempt(work):
    try:
        return work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def drive(connection, number):
    partners = connection.get_model("res.partner")
    orders = connection.get_model("sale.order")
    seen = {}
    seen["count"] = partners.search_count([["id", ">", 0]])
    seen["page"] = partners.search_read([["id", ">", 0]], ["name", "ref"], 100, 2, "id asc")
    made = partners.create([{"name": "上海某某公司", "ref": f"C{number}", "x_credit": 10.005}])
    seen["made"] = made
    partner = made[0]
    seen["written"] = partners.write([partner], {"ref": f"D{number}", "email": False})
    read = partners.read([partner], ["name", "ref", "email", "x_credit", "parent_id", "write_date"])
    seen["read"] = read[0] if isinstance(read, list) else read
    child = partners.create([{"name": "Child", "parent_id": partner}])[0]
    seen["child"] = partners.search_read([["id", "=", child]], ["parent_id"])
    seen["invalid"] = attempt(lambda: partners.create([{"name": "fine"}, {"name": "bad", "vat": "no number"}]))
    seen["field"] = attempt(lambda: partners.search_read([["id", ">", 0]], ["nme"]))
    order = orders.create([{"partner_id": partner, "order_line": [[0, 0, {"name": "a", "product_uom_qty": 2}], [0, 0, {"name": "b"}]]}])[0]
    lines = orders.search_read([["id", "=", order]], ["order_line"])[0]["order_line"]
    orders.write([order], {"order_line": [[1, lines[0], {"product_uom_qty": 5}], [2, lines[1], 0]]})
    seen["lines"] = connection.get_model("sale.order.line").search_read([["order_id", "=", order]], ["name", "product_uom_qty"])
    seen["deleted"] = partners.unlink([child])
    seen["again"] = attempt(lambda: partners.unlink([child]))
    seen["kinds"] = {name: field["type"] for name, field in partners.fields_get([], ["type"]).items()}
    return seen


json2 = odoolib.get_connection(hostname="localhost", port=int(port), protocol="json2", database=database, password=key)
rpc = odoolib.get_connection(
    hostname="localhost", port=int(port), protocol="jsonrpc", database=database, login=login, password=key,
    user_id=int(user_id),
)
wrong = odoolib.get_connection(hostname="localhost", port=int(port), protocol="json2", database=database, password="wrong")
print(json.dumps({
    "json2": drive(json2, 1), "rpc": drive(rpc, 2), "checked": [json2.check_login(), wrong.check_login()],
}))
