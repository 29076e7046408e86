// Drives a simulated Dynamics 365 with a well-known client (dynamics-web-api); prints what it saw as JSON.
//
// usage: dynamics365_client.cjs BASE_URL TENANT CLIENT_ID CLIENT_SECRET
const { DynamicsWebApi } = require("dynamics-web-api");

const [base, tenant, client, secret] = process.argv.slice(2);

async function token() {
  const form = new URLSearchParams({
    grant_type: "client_credentials", client_id: client, client_secret: secret, scope: `${base}/.default`,
  });
  const answer = await fetch(`${base}/${tenant}/oauth2/v2.0/token`, { method: "POST", body: form });
  return (await answer.json()).access_token;
}

async function refused(work) {
  try {
    await work;
    return null;
  } catch (error) {
    return [error.status, error.code];
  }
}

async function main() {
  const seen = {};
  const api = new DynamicsWebApi({ serverUrl: base, dataApi: { version: "9.2" }, onTokenRefresh: token });
  seen.organization = (await api.callFunction({ functionName: "WhoAmI" })).OrganizationId;

  const all = await api.retrieveAll({ collection: "accounts", select: ["name"], orderBy: ["accountid asc"], maxPageSize: 100 });
  seen.ids = all.value.map((one) => one.accountid);
  const found = await api.retrieveMultiple({ collection: "accounts", select: ["name"], filter: "contains(name,'00') and startswith(name,'客户') and not (name eq '客户 007')", count: true, top: 3 });
  seen.found = [found["@odata.count"], found.value.length];

  const made = await api.create({ collection: "accounts", data: { name: "上海某某公司", accountnumber: "A-1", revenue: 10.5 }, returnRepresentation: true });
  seen.made = [made.name, made.revenue, typeof made["@odata.etag"]];
  const id = made.accountid;
  seen.again = await refused(api.create({ collection: "accounts", data: { accountid: id, name: "twin" } }));
  seen.key = (await api.retrieve({ collection: "accounts", key: "accountnumber='A-1'", select: ["name"] })).accountid === id;

  await api.update({ collection: "accounts", key: id, data: { telephone1: "1" }, ifmatch: made["@odata.etag"] });
  seen.changed = (await api.retrieve({ collection: "accounts", key: id, select: ["telephone1", "name"] })).telephone1;
  seen.stale = await refused(api.update({ collection: "accounts", key: id, data: { telephone1: "2" }, ifmatch: made["@odata.etag"] }).then((done) => { if (done === false) throw { status: 412, code: "false" }; }));
  // An update that finds nothing makes nothing; an upsert does.
  seen.missing = await refused(api.update({ collection: "accounts", key: "00000000-0000-4000-8000-000000000000", data: { name: "x" } }));
  const upserted = await api.upsert({ collection: "accounts", key: "accountnumber='A-2'", data: { name: "Upsert" }, returnRepresentation: true });
  seen.upserted = [upserted.name, upserted.accountnumber];
  seen.only = await refused(api.upsert({ collection: "accounts", key: "accountnumber='A-2'", data: { name: "x" }, ifnonematch: "*" }).then((done) => { if (done === null) throw { status: 412, code: "null" }; }));

  const contact = await api.create({ collection: "contacts", data: { lastname: "Wang", "parentcustomerid_account@odata.bind": `accounts(${id})` }, returnRepresentation: true });
  seen.bound = contact._parentcustomerid_value === id;

  const first = await api.retrieveMultiple({ collection: "contacts", select: ["lastname"], trackChanges: true });
  const link = first["@odata.deltaLink"];
  seen.tracked = first.value.length;
  const other = await api.create({ collection: "contacts", data: { lastname: "Li" } });
  await api.deleteRecord({ collection: "contacts", key: contact.contactid });
  const delta = await fetch(link, { headers: { Authorization: `Bearer ${await token()}` } }).then((answer) => answer.json());
  seen.delta = delta.value.map((one) => one.reason || one.lastname).sort();
  seen.other = typeof other;

  api.startBatch();
  api.create({ collection: "accounts", data: { name: "B1" }, contentId: "1" });
  api.create({ collection: "accounts", data: { name: "B2" } });
  api.retrieveMultiple({ collection: "accounts", select: ["name"], filter: "startswith(name,'B')", orderBy: ["name asc"] });
  const batch = await api.executeBatch();
  seen.batch = [batch.length, typeof batch[0], batch[batch.length - 1].value.map((one) => one.name)];

  api.startBatch();
  api.create({ collection: "accounts", data: { name: "C1" } });
  api.create({ collection: "accounts", data: { nme: "C2" } });
  // A change set is done whole or not at all.
  await api.executeBatch().catch(() => null);

  const attributes = await api.retrieveEntity({ key: "LogicalName='account'", expand: [{ property: "Attributes" }] });
  seen.attributes = attributes.Attributes.map((one) => one.LogicalName);
  await api.deleteRecord({ collection: "accounts", key: id });
  seen.gone = await refused(api.retrieve({ collection: "accounts", key: id }));
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
