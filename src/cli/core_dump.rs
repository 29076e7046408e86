//! Core dumps: a crash must not write secrets to a disk.

/// Keeps this process's memory out of core files and from other processes of the same user; Postgres servers that it
/// starts are not affected. Where that fails the process goes on: it is a second line of defence.
pub fn forbid() {
    #[cfg(target_os = "linux")]
    let result = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    #[cfg(not(target_os = "linux"))]
    let result = {
        use rustix::process::{Resource, Rlimit, setrlimit};
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: None })
    };
    if let Err(error) = result {
        tracing::warn!(error = %error, "a crash may write a core file, which would hold secrets");
    }
}
