//! Bytes to and from a system: the doors to its limits and to what its sign-ins gave, HTTP, request signatures. Knows no system's language.

pub mod gate;
pub mod http;
pub mod keep;
pub mod lease;
pub mod retry_after;
pub mod signature;
pub mod transport;
