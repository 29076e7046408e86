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
