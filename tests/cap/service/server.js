// The server of the tests: SAP's own runtime, on loopback alone, giving out numbers as number ranges do.
const cds = require('@sap/cds');

cds.on('bootstrap', (app) => {
  const listen = app.listen.bind(app);
  app.listen = (port, then) => listen(port, '127.0.0.1', then);
});

// Numbers that were given out since the start, by set.
const given = {};

// The next number of a set. Two requests at the same time ask the database together and count apart.
async function next(entity, key, first) {
  const { newest } = await SELECT.one.from(entity).columns(`max(${key}) as newest`);
  given[entity] = Math.max(given[entity] ?? 0, Number(newest ?? 0), first - 1) + 1;
  return String(given[entity]);
}

// Date and time of day, each for itself, as business partners have them.
const now = () => [new Date().toISOString().slice(0, 10), new Date().toISOString().slice(11, 19)];

// A version that no other change has.
const started = process.hrtime.bigint();
const version = () => `${Date.now()}${process.hrtime.bigint() - started}`.slice(0, 26);

cds.on('served', ({ API_BUSINESS_PARTNER: partners, API_SALES_ORDER_SRV: orders }) => {
  partners.before('CREATE', 'A_BusinessPartner', async ({ data }) => {
    data.BusinessPartner ??= await next('db.BusinessPartner', 'BusinessPartner', 1000001);
    [data.CreationDate, data.CreationTime] = now();
    data.ETag = version();
  });
  partners.before('UPDATE', 'A_BusinessPartner', ({ data }) => {
    [data.LastChangeDate, data.LastChangeTime] = now();
    data.ETag = version();
  });
  orders.before('CREATE', 'A_SalesOrder', async ({ data }) => {
    data.SalesOrder ??= await next('db.SalesOrder', 'SalesOrder', 4000001);
    (data.to_Item ?? []).forEach((item, at) => (item.SalesOrderItem ??= String((at + 1) * 10)));
  });
  orders.before('CREATE', 'A_SalesOrderItem', async ({ data }) => {
    const items = await SELECT.from('db.SalesOrderItem').columns('SalesOrderItem').where({ SalesOrder: data.SalesOrder });
    const last = Math.max(0, ...items.map((item) => Number(item.SalesOrderItem)));
    data.SalesOrderItem ??= String(last + 10);
  });
});

module.exports = cds.server;
