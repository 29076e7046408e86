// Drives a simulated Salesforce with the independent client jsforce; prints what it saw as JSON.
//
// usage: salesforce_client.cjs BASE_URL CLIENT_ID CLIENT_SECRET REFRESH_TOKEN
const jsforce = require("jsforce");

const [base, clientId, clientSecret, refreshToken] = process.argv.slice(2);
const seen = {};
const oauth2 = { loginUrl: base, clientId, clientSecret, redirectUri: "http://127.0.0.1/" };

async function refused(name, work) {
  try {
    await work();
    seen[name] = "no error";
  } catch (error) {
    seen[name] = [error.errorCode, error.message];
  }
}

async function main() {
  // A token that is over: the client signs in by its refresh token and goes on.
  const conn = new jsforce.Connection({ instanceUrl: base, accessToken: "over", refreshToken, oauth2, version: "67.0" });
  seen.counted = (await conn.query("SELECT COUNT() FROM Account")).totalSize;

  const first = await conn.query("SELECT Id, Name FROM Account ORDER BY Id", { autoFetch: false });
  const second = await conn.queryMore(first.nextRecordsUrl);
  seen.pages = [first.records.length, first.done, second.records.length, second.done, first.totalSize];
  seen.all = (await conn.query("SELECT Id FROM Account ORDER BY Id").run({ autoFetch: true, maxFetch: 10000 })).length;

  const accounts = conn.sobject("Account");
  const made = await accounts.create([{ Name: "One", AnnualRevenue: 10.005 }, { Phone: "no name" }], { allOrNone: false });
  seen.made = made.map((one) => [one.success, (one.errors[0] || {}).statusCode || null]);
  const id = made[0].id;
  seen.got = await accounts.retrieve(id);
  seen.updated = (await accounts.update([{ Id: id, Phone: "1" }], { allOrNone: false }))[0].success;
  seen.upserted = (
    await accounts.upsert([{ External_Key__c: "U1", Name: "Up" }, { External_Key__c: "U2", Name: "Up too" }], "External_Key__c", {
      allOrNone: false,
    })
  ).map((one) => [one.success, one.created]);
  seen.fields = (await accounts.describe()).fields.map((field) => field.name);
  await refused("malformed", () => conn.query("SELECT Nme FROM Account"));
  await refused("stale", () =>
    accounts.update({ Id: id, Phone: "2" }, { headers: { "If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT" } }),
  );
  seen.fresh = (
    await accounts.update({ Id: id, Phone: "3" }, { headers: { "If-Unmodified-Since": "Sat, 06 Nov 2094 08:49:37 GMT" } })
  ).success;

  conn.bulk2.pollInterval = 10;
  const stream = await conn.bulk2.query("SELECT Id, Name, AnnualRevenue, SystemModstamp FROM Account WHERE Name LIKE 'Row %'");
  const rows = await stream.toArray();
  seen.bulk = [rows.length, rows[0].Name, rows[0].AnnualRevenue, /^\d{4}-\d\d-\d\dT.*\.000Z$/.test(rows[0].SystemModstamp)];

  const load = (operation, input, more) =>
    conn.bulk2.loadAndWaitForResults({ object: "Account", operation, input, pollInterval: 10, pollTimeout: 30000, ...more });
  const inserted = await load("insert", [{ Name: 'In, "quotes"', Phone: "1" }, { Name: "", Phone: "2" }]);
  const bulkId = inserted.successfulResults[0].sf__Id;
  seen.inserted = [inserted.successfulResults.length, inserted.successfulResults[0].sf__Created, inserted.failedResults[0].sf__Error];
  const changed = await load("update", [{ Id: bulkId, Phone: "#N/A", Website: "" }]);
  seen.changed = [changed.successfulResults.length, (await accounts.retrieve(bulkId)).Name, (await accounts.retrieve(bulkId)).Phone];
  const up = await load("upsert", [{ External_Key__c: "U1", Name: "Up again" }, { External_Key__c: "U3", Name: "Up new" }], {
    externalIdFieldName: "External_Key__c",
  });
  seen.up = up.successfulResults.map((one) => one.sf__Created).sort();

  seen.deleted = (await accounts.destroy([id], { allOrNone: false }))[0].success;
  const hard = await load("hardDelete", [{ Id: bulkId }]);
  seen.hard = hard.successfulResults.length;
  const day = 86400000;
  const log = await accounts.deleted(new Date(Date.now() - day), new Date(Date.now() + day));
  seen.log = log.deletedRecords.map((one) => one.id).sort().join() === [id, bulkId].sort().join();
  const bin = await conn.query("SELECT Id FROM Account WHERE IsDeleted = true", { scanAll: true });
  seen.bin = bin.records.map((one) => one.Id).join() === id;
  seen.limits = (await conn.limits()).DailyApiRequests.Max;
  seen.usage = conn.limitInfo.apiUsage.limit;
}

main().then(
  () => console.log(JSON.stringify(seen)),
  (error) => {
    console.error(JSON.stringify(seen), error);
    process.exit(1);
  },
);
