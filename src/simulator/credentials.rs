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
        MIIEogIBAAKCAQEA3PEUFFE9InEEBvjr6rKz/ZGp3SfyZ7cH5xclkGBmtWfddop1YyeeniXsIbUVNq2Dpa8vH+p0xoPuJwCT\
        GU8txfxRgt7a/u7I/cH/XOpGVn8D4U4UZUllo56AiaIdIl5PaIln73S/CJD1xshLbcwqr/DnQxNXLZ8JL35HzqBWNxhmuSPP\
        E0xcTBLpNlGqAMKCqS8zpHN6+RoGaKZP8coYBT8UKEr5xvPjkiRlcKEiC5STOGxHlgeWe1SlDRPzICEmMcaYrqY5GcqBWlXr\
        UVlI0cbo/f+tv/h3xIvsIeZN6cuIR9k7UUzX+x0tVPihNPGNiJNOTLeQFdODjVKfN5K/GQIDAQABAoIBAAHfIZo/H+3z7Xf4\
        /C1LoJO0Jq9iwGkZgf3L/TujssBe+190MnoJuAxt6iSqSd43NRIeZvSgbKcmhJ9xn/gLFX+uW1W+Touco+ORFPk0Bi7YZO+F\
        Kk4QrkWRuP6xerQI/tI2C8UvBNPtP8UUevMYqNSUYq53nPmcIHH1t2UBiF7EwvJqkqajeWOMjkJseM1KwWHUCoELEmOyqScN\
        SnhzSIuE+W9hmoMNC7ICcAs7dWCeHLu49DyvA41OqQ/bTHhnBPPGKNLGg0VVPL9UdO9uoJ286sqeie8R3sz6fVzZYdVN2KYf\
        2uiRScwft7CtLNeTOVW25WCvgQNdDvjklKluQFsCgYEA+p4Y3p7JZwL5rCG6YOR8/h0q2jS2Mrq46+1+kwShow/lA001AnBf\
        FFISzTppO04JX7FKgo66iirWu5O1z4D24nosybytSFvIz3x+9wTqip1BHVFJT5TUcR2UuDPWgTJsiEBnNu/Ev2DIKp01USpV\
        ESIv4gHTmKzn8bgrkH+8udcCgYEA4a/Skw6fYaOBFFt/R66mz6vesQLNc9leyjl4p5p//tkjNpSrfv2ih5jZsn6JZIPU0bE8\
        /pr5oUNAfUGPLMBe5kgI0TQ4F8c5ryVL4V3tJSyrDl3wSoVNvY6fbqTIs+IsOK8PyGTSjYm5i1X9e4CNKB6neRbqQPF01FVl\
        qwiSkI8CgYB1sXMqcNVSTAJmRLybLhJI3/e025ZIwol/Olv7vOwPgLJi14oyaAUurNBpkqnCkQYz6zV7lH2jzzRiiJ6UIRNQ\
        DmIkJzgVSA1I60VQyf0/NVRT6U2NUu5lZKfnzWhJ6h0v61bNZNI3scKuyH82a7PhRPXJpGPzShfu2zeSN3qwpwKBgC/00oQZ\
        KVjwC2+t+Z/bxup+FPX8KHgjinbiO3cx51zZ+xeQA9kaQD0cB7ZcGQnY0ZI1XUak28Kercdv9OKHhiLcz7LUq86xsNo8zKD4\
        +nlZwodtArBzHw/WjJ5QOa2vs8HfwTTN58fXqiunfBOQP251BRU//0sJg8/SzaXIToyVAoGAWHGPzLyXVcYCR20XC9XyS/4g\
        ZXh7iCHNzYS7NYF8A2D7d2NNftXlQY52v3bzwiDJghB+pFK0PpnmDT4eHk80SNrWe2p9Ef4inrMLedvX4S71sW+1kjCzyt+F\
        GiyB8V2+bsjxu0nOfVPIekS462xZGdPTMs5JoF1NF//mWSBe8ik=\
        ";

    const PUBLIC: &str = "\
        MIIBCgKCAQEA3PEUFFE9InEEBvjr6rKz/ZGp3SfyZ7cH5xclkGBmtWfddop1YyeeniXsIbUVNq2Dpa8vH+p0xoPuJwCTGU8t\
        xfxRgt7a/u7I/cH/XOpGVn8D4U4UZUllo56AiaIdIl5PaIln73S/CJD1xshLbcwqr/DnQxNXLZ8JL35HzqBWNxhmuSPPE0xc\
        TBLpNlGqAMKCqS8zpHN6+RoGaKZP8coYBT8UKEr5xvPjkiRlcKEiC5STOGxHlgeWe1SlDRPzICEmMcaYrqY5GcqBWlXrUVlI\
        0cbo/f+tv/h3xIvsIeZN6cuIR9k7UUzX+x0tVPihNPGNiJNOTLeQFdODjVKfN5K/GQIDAQAB\
        ";
}
