//! The only room that knows a remote's language: manifests, expressions, requests and the meaning of answers.

pub mod expr;
