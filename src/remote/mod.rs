//! Bytes to and from a system: the door to its limits, HTTP, signatures, encrypted bodies. Knows no system's language.

pub mod encryption;
pub mod gate;
pub mod http;
pub mod lease;
pub mod retry_after;
pub mod signature;
pub mod tls;
pub mod transport;
