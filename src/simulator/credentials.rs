//! What the simulators accept as credentials. Nothing here is secret: a simulator is reachable on loopback only.

/// The credentials of the simulated Fxiaoke.
pub mod fxiaoke {
    /// The app.
    pub const APP_ID: &str = "FSAID_demo";
    /// The app's secret.
    pub const APP_SECRET: &str = "demo-app-secret";
    /// The permanent code of the tenant's authorisation.
    pub const PERMANENT_CODE: &str = "demo-permanent-code";
    /// The tenant, as the older generation names it.
    pub const CORP_ID: &str = "FSCID_demo";
    /// The tenant, as the current generation names it.
    pub const EA: &str = "demo";
    /// The user whose rights apply, older generation.
    pub const OPEN_USER_ID: &str = "FSUID_demo";
    /// The same user's employee number, current generation.
    pub const USER_ID: &str = "1000";
}

/// The credentials of the simulated Jiandaoyun, and the form that it describes.
pub mod jiandaoyun {
    /// The key.
    pub const API_KEY: &str = "demo-api-key";
    /// The secret of the data pushes.
    pub const WEBHOOK_SECRET: &str = "demo-push-secret";
    /// The app.
    pub const APP_ID: &str = "demo_app";
    /// The form.
    pub const ENTRY_ID: &str = "customer";
}

/// The credentials of the simulated Kingdee K3Cloud.
pub mod kingdee {
    /// The data centre.
    pub const ACCT_ID: &str = "5f1a2b3c4d5e6f";
    /// The user.
    pub const USER: &str = "demo";
    /// The user's password, for `ValidateUser`.
    pub const PASSWORD: &str = "demo-password";
    /// The app.
    pub const APP_ID: &str = "204399_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    /// The app's secret.
    pub const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";
    /// The language.
    pub const LCID: u32 = 2052;
    /// The organisation.
    pub const ORG: &str = "100";
}

/// The credentials of the simulated SAP system.
pub mod sap {
    /// The communication user.
    pub const USER: &str = "ROWTWIN";
    /// Its password.
    pub const PASSWORD: &str = "demo-sap-password";
    /// The client (Mandant).
    pub const CLIENT: &str = "100";
    /// The cookie of a session; it names the system and the client.
    pub const SESSION_COOKIE: &str = "SAP_SESSIONID_DEM_100";
    /// The client of OAuth.
    pub const CLIENT_ID: &str = "demo-sap-client";
    /// Its secret.
    pub const CLIENT_SECRET: &str = "demo-sap-secret";
}

/// The credentials of the simulated Salesforce.
pub mod salesforce {
    /// The consumer key of the connected app.
    pub const CLIENT_ID: &str = "3MVG9demo.consumer.key";
    /// The consumer secret.
    pub const CLIENT_SECRET: &str = "demo-consumer-secret";
    /// A refresh token that was given to the app.
    pub const REFRESH_TOKEN: &str = "5Aep861demo.refresh.token";
    /// The user that a signed assertion names.
    pub const USERNAME: &str = "demo@example.com";
    /// The organisation.
    pub const ORG_ID: &str = "00D5g00000DemoOEAX";
    /// The user whose rights apply.
    pub const USER_ID: &str = "0055g00000DemoUAAZ";

    /// The private key whose certificate the connected app knows, as a PEM text. Made for this simulator alone.
    pub fn private_key() -> String {
        format!("-----BEGIN {0}-----\n{PRIVATE}\n-----END {0}-----\n", "PRIVATE KEY")
    }

    /// The public half, as DER (PKCS #1) in base64.
    pub(in crate::simulator) fn public_key() -> &'static str {
        PUBLIC
    }

    const PRIVATE: &str = "\
        MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQDc8RQUUT0icQQG+OvqsrP9kandJ/JntwfnFyWQYGa1Z912\
        inVjJ56eJewhtRU2rYOlry8f6nTGg+4nAJMZTy3F/FGC3tr+7sj9wf9c6kZWfwPhThRlSWWjnoCJoh0iXk9oiWfvdL8IkPXG\
        yEttzCqv8OdDE1ctnwkvfkfOoFY3GGa5I88TTFxMEuk2UaoAwoKpLzOkc3r5GgZopk/xyhgFPxQoSvnG8+OSJGVwoSILlJM4\
        bEeWB5Z7VKUNE/MgISYxxpiupjkZyoFaVetRWUjRxuj9/62/+HfEi+wh5k3py4hH2TtRTNf7HS1U+KE08Y2Ik05Mt5AV04ON\
        Up83kr8ZAgMBAAECggEAAd8hmj8f7fPtd/j8LUugk7Qmr2LAaRmB/cv9O6OywF77X3Qyegm4DG3qJKpJ3jc1Eh5m9KBspyaE\
        n3Gf+AsVf65bVb5Oi5yj45EU+TQGLthk74UqThCuRZG4/rF6tAj+0jYLxS8E0+0/xRR68xio1JRirnec+ZwgcfW3ZQGIXsTC\
        8mqSpqN5Y4yOQmx4zUrBYdQKgQsSY7KpJw1KeHNIi4T5b2Gagw0LsgJwCzt1YJ4cu7j0PK8DjU6pD9tMeGcE88Yo0saDRVU8\
        v1R0726gnbzqyp6J7xHezPp9XNlh1U3Yph/a6JFJzB+3sK0s15M5VbblYK+BA10O+OSUqW5AWwKBgQD6nhjenslnAvmsIbpg\
        5Hz+HSraNLYyurjr7X6TBKGjD+UDTTUCcF8UUhLNOmk7TglfsUqCjrqKKta7k7XPgPbieizJvK1IW8jPfH73BOqKnUEdUUlP\
        lNRxHZS4M9aBMmyIQGc278S/YMgqnTVRKlURIi/iAdOYrOfxuCuQf7y51wKBgQDhr9KTDp9ho4EUW39HrqbPq96xAs1z2V7K\
        OXinmn/+2SM2lKt+/aKHmNmyfolkg9TRsTz+mvmhQ0B9QY8swF7mSAjRNDgXxzmvJUvhXe0lLKsOXfBKhU29jp9upMiz4iw4\
        rw/IZNKNibmLVf17gI0oHqd5FupA8XTUVWWrCJKQjwKBgHWxcypw1VJMAmZEvJsuEkjf97TblkjCiX86W/u87A+AsmLXijJo\
        BS6s0GmSqcKRBjPrNXuUfaPPNGKInpQhE1AOYiQnOBVIDUjrRVDJ/T81VFPpTY1S7mVkp+fNaEnqHS/rVs1k0jexwq7IfzZr\
        s+FE9cmkY/NKF+7bN5I3erCnAoGAL/TShBkpWPALb635n9vG6n4U9fwoeCOKduI7dzHnXNn7F5AD2RpAPRwHtlwZCdjRkjVd\
        RqTbwp6tx2/04oeGItzPstSrzrGw2jzMoPj6eVnCh20CsHMfD9aMnlA5ra+zwd/BNM3nx9eqK6d8E5A/bnUFFT//SwmDz9LN\
        pchOjJUCgYBYcY/MvJdVxgJHbRcL1fJL/iBleHuIIc3NhLs1gXwDYPt3Y01+1eVBjna/dvPCIMmCEH6kUrQ+meYNPh4eTzRI\
        2tZ7an0R/iKeswt529fhLvWxb7WSMLPK34UaLIHxXb5uyPG7Sc59U8h6RLjrbFkZ09MyzkmgXU0X/+ZZIF7yKQ==\
        ";

    const PUBLIC: &str = "\
        MIIBCgKCAQEA3PEUFFE9InEEBvjr6rKz/ZGp3SfyZ7cH5xclkGBmtWfddop1YyeeniXsIbUVNq2Dpa8vH+p0xoPuJwCTGU8t\
        xfxRgt7a/u7I/cH/XOpGVn8D4U4UZUllo56AiaIdIl5PaIln73S/CJD1xshLbcwqr/DnQxNXLZ8JL35HzqBWNxhmuSPPE0xc\
        TBLpNlGqAMKCqS8zpHN6+RoGaKZP8coYBT8UKEr5xvPjkiRlcKEiC5STOGxHlgeWe1SlDRPzICEmMcaYrqY5GcqBWlXrUVlI\
        0cbo/f+tv/h3xIvsIeZN6cuIR9k7UUzX+x0tVPihNPGNiJNOTLeQFdODjVKfN5K/GQIDAQAB\
        ";
}

/// The credentials of the simulated Zoho CRM.
pub mod zoho {
    /// The client.
    pub const CLIENT_ID: &str = "1000.DEMOCLIENT";
    /// The client's secret.
    pub const CLIENT_SECRET: &str = "demo-client-secret";
    /// The refresh token.
    pub const REFRESH_TOKEN: &str = "1000.demo.refresh-token";
}

/// The credentials of the simulated HubSpot.
pub mod hubspot {
    /// The token of a private app.
    pub const ACCESS_TOKEN: &str = "pat-na1-demo-private-app-token";
    /// The client of an app.
    pub const CLIENT_ID: &str = "demo-hubspot-client";
    /// Its secret.
    pub const CLIENT_SECRET: &str = "demo-hubspot-secret";
    /// Its refresh token.
    pub const REFRESH_TOKEN: &str = "demo-hubspot-refresh-token";
    /// The account.
    pub const PORTAL_ID: u64 = 4711;
}

/// The credentials of the simulated Odoo.
pub mod odoo {
    /// The database.
    pub const DATABASE: &str = "demo";
    /// The user, for JSON-RPC.
    pub const LOGIN: &str = "demo@example.com";
    /// The user's number.
    pub const USER_ID: i64 = 2;
    /// The user's key.
    pub const API_KEY: &str = "0d00demo0key00000000000000000000000000000";
}

/// The credentials of the simulated 用友 YonBIP.
pub mod yonyou {
    /// The tenant.
    pub const TENANT_ID: &str = "demo_tenant";
    /// The app.
    pub const APP_KEY: &str = "ak_demo";
    /// The app's secret; events are encrypted with it, too.
    pub const APP_SECRET: &str = "0123abcd-0123-4567-89ab-0123456789ab";
    /// The managing organisation.
    pub const ORGANISATION: &str = "991";
    /// The transaction type of orders.
    pub const TRANSACTION_TYPE: &str = "SO01";
}

/// The credentials of the simulated mini program.
pub mod wechat {
    /// The mini program.
    pub const APP_ID: &str = "wxdemo";
    /// Its secret.
    pub const APP_SECRET: &str = "demo-wechat-secret";
    /// The token that signs messages.
    pub const TOKEN: &str = "demo-message-token";
    /// The key that encrypts them.
    pub const ENCODING_AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
    /// The merchant's number.
    pub const MERCHANT_ID: &str = "1900000001";
}

/// The credentials of the simulated Dynamics 365.
pub mod dynamics365 {
    /// The tenant.
    pub const TENANT: &str = "6d2f1c1e-0000-4000-8000-000000000000";
    /// The app.
    pub const CLIENT_ID: &str = "6d2f1c1e-1111-4000-8000-000000000001";
    /// Its secret.
    pub const CLIENT_SECRET: &str = "demo~dynamics~secret";
    /// The organisation.
    pub const ORGANIZATION: &str = "6d2f1c1e-2222-4000-8000-000000000002";
    /// The user whose rights apply.
    pub const USER: &str = "6d2f1c1e-3333-4000-8000-000000000003";
    /// The user's part of the organisation.
    pub const UNIT: &str = "6d2f1c1e-4444-4000-8000-000000000004";
}

/// The credentials of the simulated Mailchimp.
pub mod mailchimp {
    /// The key; behind the dash stands its data centre.
    pub const API_KEY: &str = "0123456789abcdef0123456789abcdef-us21";
    /// The audience.
    pub const LIST: &str = "a1b2c3d4e5";
    /// The account.
    pub const ACCOUNT: &str = "8d3a3db4d97663a9074efcc16";
}

/// The credentials of the simulated NetSuite.
pub mod netsuite {
    /// The account.
    pub const ACCOUNT: &str = "123456_SB1";
    /// The client of the integration.
    pub const CLIENT_ID: &str = "demo-netsuite-client";
    /// The id of the certificate whose key signs.
    pub const CERTIFICATE: &str = "demo-netsuite-certificate";

    /// The private key of that certificate, as a PEM text: the one of the simulated Salesforce.
    pub fn private_key() -> String {
        super::salesforce::private_key()
    }
}

/// The credentials of the simulated Shopify.
pub mod shopify {
    /// The token of a custom app.
    pub const ACCESS_TOKEN: &str = "shpat_demo0custom0app0token";
    /// The client of an app.
    pub const CLIENT_ID: &str = "demo-shopify-client";
    /// Its secret, by which webhooks are signed, too.
    pub const CLIENT_SECRET: &str = "demo-shopify-secret";
    /// The shop.
    pub const SHOP: &str = "demo.myshopify.com";
    /// Its global id.
    pub const SHOP_ID: &str = "gid://shopify/Shop/548380009";
    /// The oldest version of the API that is served.
    pub const API_VERSION: &str = "2026-01";
}
