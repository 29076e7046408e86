// A Vendure on loopback, with the custom fields that the tests map. Its settings are as near to its defaults as can be.
//
// usage: server.cjs PORT DATABASE_URL PASSWORD [make-schema]
const { bootstrap, DefaultLogger, LogLevel } = require('@vendure/core');

const [port, url, password, schema] = process.argv.slice(2);
const text = (name, more) => ({ name, type: 'string', nullable: true, ...more });

bootstrap({
    apiOptions: { hostname: '127.0.0.1', port: Number(port), adminApiPath: 'admin-api', shopApiPath: 'shop-api' },
    authOptions: {
        tokenMethod: ['bearer'],
        superadminCredentials: { identifier: 'superadmin', password },
    },
    dbConnectionOptions: { type: 'postgres', url, synchronize: schema === 'make-schema' },
    logger: new DefaultLogger({ level: LogLevel.Info, timestamp: false }),
    paymentOptions: { paymentMethodHandlers: [] },
    plugins: [],
    customFields: {
        Customer: [
            text('number'),
            text('grade', { pattern: '^[A-Z]$' }),
            { name: 'credit', type: 'float', nullable: true },
            { name: 'seen', type: 'datetime', nullable: true },
            text('rowtwinAttempt'),
        ],
        Product: [text('number')],
    },
}).catch(error => {
    console.error(error);
    process.exit(1);
});
