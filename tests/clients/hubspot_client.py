"""Drives a simulated HubSpot with the vendor's own Python client (hubspot-api-client); prints what it saw as JSON.

usage: hubspot_client.py BASE_URL ACCESS_TOKEN
"""
import json
import sys

import hubspot
from hubspot.crm.companies import (
    ApiException,
    BatchInputSimplePublicObjectBatchInput,
    BatchInputSimplePublicObjectBatchInputForCreate,
    BatchInputSimplePublicObjectId,
    BatchReadInputSimplePublicObjectId,
    Filter,
    FilterGroup,
    PublicObjectSearchRequest,
    SimplePublicObjectBatchInput,
    SimplePublicObjectBatchInputForCreate,
    SimplePublicObjectId,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)

base, token = sys.argv[1:]
client = hubspot.Client.create(access_token=token)


def local(api):
    """Each of the client's parts knows the vendor's host by itself."""
    api.api_client.configuration.host = base
    return api


basic = local(client.crm.companies.basic_api)
batch = local(client.crm.companies.batch_api)
searches = local(client.crm.companies.search_api)
properties = local(client.crm.properties.core_api)

seen = {}
ids, after = [], None
while True:
    page = basic.get_page(limit=100, after=after, properties=["name"])
    ids += [one.id for one in page.results]
    if not page.paging:
        break
    after = page.paging.next.after
seen["ids"] = ids
search = PublicObjectSearchRequest(
    filter_groups=[FilterGroup(filters=[Filter(property_name="name", operator="EQ", value="客户 007")])],
    sorts=[], properties=["name"], limit=10, after=0,
)
found = searches.do_search(public_object_search_request=search)
seen["found"] = [found.total, [one.properties["name"] for one in found.results]]
made = basic.create(
    simple_public_object_input_for_create=SimplePublicObjectInputForCreate(
        properties={"name": "上海某某公司", "annualrevenue": "10.005", "external_key": "K1"}, associations=[]
    )
)
seen["made"] = made.id
changed = basic.update(
    company_id=made.id, simple_public_object_input=SimplePublicObjectInput(properties={"phone": "021-1"})
)
seen["changed"] = changed.properties.get("phone")


def create(*records):
    inputs = [SimplePublicObjectBatchInputForCreate(properties=one, associations=[]) for one in records]
    return batch.create(
        batch_input_simple_public_object_batch_input_for_create=BatchInputSimplePublicObjectBatchInputForCreate(inputs=inputs)
    )


seen["batch"] = sorted(one.properties["name"] for one in create({"name": "B1"}, {"name": "B2"}).results)
for name, work in {
    "twice": lambda: create({"name": "fine"}, {"name": "twice", "external_key": "K1"}),
    "unknown": lambda: create({"nme": "x"}),
    "missing": lambda: basic.get_by_id(company_id="999999"),
}.items():
    try:
        work()
        seen[name] = "no error"
    except ApiException as error:
        body = json.loads(error.body)
        seen[name] = [error.status, body["category"], body["message"]]
updated = batch.update(
    batch_input_simple_public_object_batch_input=BatchInputSimplePublicObjectBatchInput(
        inputs=[
            SimplePublicObjectBatchInput(id=made.id, properties={"name": "new"}),
            SimplePublicObjectBatchInput(id="999999", properties={"name": "nobody"}),
        ]
    )
)
seen["updated"] = [[one.id for one in updated.results], updated.num_errors, updated.errors[0].category]
read = batch.read(
    batch_read_input_simple_public_object_id=BatchReadInputSimplePublicObjectId(
        id_property="external_key", properties=["name"], properties_with_history=[],
        inputs=[SimplePublicObjectId(id="K1"), SimplePublicObjectId(id="K2")],
    )
)
seen["read"] = [[one.properties["name"] for one in read.results], read.num_errors]
batch.archive(
    batch_input_simple_public_object_id=BatchInputSimplePublicObjectId(inputs=[SimplePublicObjectId(id=made.id)])
)
seen["archived"] = [one.id for one in basic.get_page(archived=True).results]
seen["properties"] = [one.name for one in properties.get_all("companies").results]
print(json.dumps(seen))
