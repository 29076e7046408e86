// Drives a simulated Shopify with the vendor's own library (@shopify/shopify-api); prints what it saw as JSON.
//
// usage: shopify_client.cjs BASE_URL SHOP API_VERSION ACCESS_TOKEN CLIENT_ID CLIENT_SECRET
//
// The library speaks to https://SHOP only; the way it is meant to be given another fetch leads to the simulator.
require('@shopify/shopify-api/adapters/node');
const runtime = require('@shopify/shopify-api/runtime');
const { shopifyApi, Session } = require('@shopify/shopify-api');

const [base, shop, version, token, client, secret] = process.argv.slice(2);
const plainFetch = globalThis.fetch;
runtime.setAbstractFetchFunc((url, options) => plainFetch(String(url).replace(`https://${shop}`, base), options));

const shopify = shopifyApi({
    apiKey: client,
    apiSecretKey: secret,
    apiVersion: version,
    hostName: 'app.example.com',
    isEmbeddedApp: false,
    isCustomStoreApp: false,
    logger: { level: 0 },
});
const session = new Session({ id: 'offline', shop, state: '', isOnline: false, accessToken: token });

const door = async (verb, body = {}) => {
    const answer = await plainFetch(`${base}/_door/${verb}`, { method: 'POST', body: JSON.stringify(body) });
    return answer.json();
};

const refused = async work => {
    try {
        await work();
        return null;
    } catch (error) {
        return [error.constructor.name, error.response?.code ?? error.body?.errors?.graphQLErrors?.[0]?.extensions?.code];
    }
};

(async () => {
    const seen = {};
    const graphql = new shopify.clients.Graphql({ session });
    const page = `query($after: String) { customers(first: 100, after: $after, sortKey: ID) {
        edges { cursor node { id email number: metafield(namespace: "custom", key: "number") { value } } }
        pageInfo { hasNextPage endCursor } } }`;
    seen.ids = [];
    for (let after = null; ;) {
        const { data, extensions } = await graphql.request(page, { variables: { after } });
        seen.ids.push(...data.customers.edges.map(edge => edge.node.id));
        seen.cost = extensions.cost.requestedQueryCost;
        seen.restored = extensions.cost.throttleStatus.restoreRate;
        if (!data.customers.pageInfo.hasNextPage) break;
        after = data.customers.pageInfo.endCursor;
    }
    const create = `mutation($input: CustomerInput!) { customerCreate(input: $input) {
        customer { id email tags metafield(namespace: "custom", key: "number") { key value } }
        userErrors { field message } } }`;
    const input = {
        email: 'Ada@Example.com',
        lastName: '上海某某公司',
        tags: ['vip'],
        metafields: [{ namespace: 'custom', key: 'number', value: 'SDK1', type: 'single_line_text_field' }],
    };
    seen.made = (await graphql.request(create, { variables: { input } })).data.customerCreate;
    seen.twice = (await graphql.request(create, { variables: { input } })).data.customerCreate;
    const search = '{ customers(first: 5, query: "email:ada@example.com") { nodes { lastName } } }';
    seen.found = (await graphql.request(search)).data.customers.nodes;
    const exact = `query($identifier: CustomerIdentifierInput!) { customerByIdentifier(identifier: $identifier) { id } }`;
    const identifier = { customId: { namespace: 'custom', key: 'number', value: 'SDK1' } };
    seen.exact = (await graphql.request(exact, { variables: { identifier } })).data.customerByIdentifier;
    const update = `mutation($input: CustomerInput!) { customerUpdate(input: $input) { customer { lastName } userErrors { field message } } }`;
    const edit = { id: seen.made.customer.id, lastName: 'Ada' };
    seen.changed = (await graphql.request(update, { variables: { input: edit } })).data.customerUpdate;
    const gone = { id: 'gid://shopify/Customer/1', lastName: 'Ada' };
    seen.gone = (await graphql.request(update, { variables: { input: gone } })).data.customerUpdate;
    const remove = `mutation($input: CustomerDeleteInput!) { customerDelete(input: $input) { deletedCustomerId userErrors { message } } }`;
    seen.deleted = (await graphql.request(remove, { variables: { input: { id: edit.id } } })).data.customerDelete;
    seen.unknown = await refused(() => graphql.request('{ customers(first: 1) { nodes { shoeSize } } }'));
    seen.costly = await refused(() => graphql.request('{ customers(first: 250) { nodes { id a: metafield(key: "a") { value } b: metafield(key: "b") { value } c: metafield(key: "c") { value } } } }'));
    await door('add_fault', { fault: 'throttled' });
    seen.throttled = await refused(() => graphql.request(search));
    const stranger = new Session({ id: 'x', shop, state: '', isOnline: false, accessToken: 'shpat_wrong' });
    seen.stranger = await refused(() => new shopify.clients.Graphql({ session: stranger }).request(search));

    // What the shop pushes is taken for genuine, and what was changed on its way is not.
    await door('take_pushes');
    await door('insert', { object: 'customers', fields: { lastName: 'Pushed' } });
    const [push] = (await door('take_pushes')).pushes;
    const headers = Object.fromEntries(push.headers.map(([name, value]) => [name.toLowerCase(), value]));
    const rawRequest = { method: 'POST', url: '/hooks/shop', headers };
    const told = await shopify.webhooks.validate({ rawBody: push.body, rawRequest, rawResponse: {} });
    seen.webhook = [told.valid, told.topic, told.domain, told.apiVersion];
    const forged = await shopify.webhooks.validate({ rawBody: push.body.replace('{', '{ '), rawRequest, rawResponse: {} });
    seen.forged = [forged.valid, forged.reason];
    console.log(JSON.stringify(seen));
})().catch(error => {
    console.error(error);
    process.exit(1);
});
