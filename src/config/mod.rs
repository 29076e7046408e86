//! The configuration: one `rowtwin.yaml`, checked as a whole, every finding with its place and its cure.

pub mod duration;
pub mod file;
pub mod http;
pub mod insert;
pub mod lines;
pub mod load;
pub mod located;
pub mod serve;

pub use file::{BindingFile, CodecName, Field, LifecycleFile, RowtwinFile, Setting, SystemFile};
pub use lines::LinesFile;
pub use load::{ConfigError, Finding, load, parse, schema};
pub use serve::{ServeFile, WebhooksFile};
