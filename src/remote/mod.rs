//! Bytes to and from a system: the doors to its limits and to what its sign-ins gave, HTTP, signatures, encrypted bodies. Knows
//! no system's language.

pub mod encryption;
pub mod gate;
pub mod http;
pub mod keep;
pub mod lease;
pub mod retry_after;
pub mod signature;
pub mod tls;
pub mod transport;
