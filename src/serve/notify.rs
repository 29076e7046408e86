//! Telling the service manager (systemd, `Type=notify`) that we are ready, alive, or about to stop.
//!
//! The manager names a datagram socket in `NOTIFY_SOCKET`; each message is a few lines of `NAME=value`. Without that
//! variable nobody listens and nothing is sent.

use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::warn;

/// Says how the process does to the service manager that started it, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    ready: AtomicBool,
    status: Mutex<String>,
}

impl Notifier {
    /// The manager that the environment names; none is no error, and one that cannot be reached is only logged.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        // the watchdog may be meant for another process of the same unit
        let ours = variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = variable("WATCHDOG_USEC").filter(|_| ours).and_then(|text| text.parse().ok());
        match variable("NOTIFY_SOCKET") {
            Some(name) => Self::new(&name, watchdog.map(Duration::from_micros)),
            None => Self::default(),
        }
    }

    /// A manager's socket, by its path or, after an `@`, its abstract name; `watchdog` is the longest silence that it
    /// bears.
    pub fn new(socket: &str, watchdog: Option<Duration>) -> Self {
        let opened = address(socket).and_then(|address| Ok((UnixDatagram::unbound()?, address)));
        let manager = opened
            .and_then(|(ours, address)| {
                // a manager that does not read must not hold us up
                ours.set_nonblocking(true)?;
                Ok((ours, address))
            })
            .map_err(|error| warn!(error = %error, "the socket of the service manager cannot be used"))
            .ok();
        Self { manager, watchdog, ..Self::default() }
    }

    /// The longest silence that the manager bears before it ends us.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The process does its work, or stands by to do it. Said once.
    pub fn ready(&self) {
        if !self.ready.swap(true, Ordering::Relaxed) {
            self.send("READY=1");
        }
    }

    /// The process works: the watchdog starts anew.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1");
        }
    }

    /// A line for people, as `systemctl status` shows it; said when it has changed.
    pub fn status(&self, line: &str) {
        // a new line would begin another variable
        let line = line.replace(['\n', '\r'], " ");
        let Ok(mut last) = self.status.lock() else { return };
        if *last != line {
            self.send(&format!("STATUS={line}"));
            *last = line;
        }
    }

    /// The process ends, because it was asked to or because it must.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=finishing what is under way");
    }

    fn send(&self, message: &str) {
        if let Some((ours, manager)) = &self.manager
            && let Err(error) = ours.send_to_addr(message.as_bytes(), manager)
        {
            warn!(error = %error, "the service manager could not be told how we do");
        }
    }
}

#[cfg(target_os = "linux")]
fn address(socket: &str) -> std::io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    }
}

#[cfg(not(target_os = "linux"))]
fn address(socket: &str) -> std::io::Result<SocketAddr> {
    SocketAddr::from_pathname(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the manager reads, until nothing is left.
    fn heard(manager: &UnixDatagram) -> Vec<String> {
        manager.set_nonblocking(true).unwrap();
        let mut buffer = [0; 1024];
        let mut heard = Vec::new();
        while let Ok(length) = manager.recv(&mut buffer) {
            heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        heard
    }

    #[test]
    fn each_thing_is_said_when_it_is_news() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(path.to_str().unwrap(), Some(Duration::from_secs(9)));
        notifier.status("a\nREADY=1");
        notifier.status("a\nREADY=1");
        notifier.ready();
        notifier.ready();
        notifier.alive();
        notifier.alive();
        notifier.stopping();
        assert_eq!(
            heard(&manager),
            [
                "STATUS=a READY=1",
                "READY=1",
                "WATCHDOG=1",
                "WATCHDOG=1",
                "STOPPING=1\nSTATUS=finishing what is under way"
            ]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_is_a_socket_too() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("rowtwin-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier::new(&format!("@{name}"), None);
        notifier.ready();
        // nobody asked for signs of life
        notifier.alive();
        assert_eq!(heard(&manager), ["READY=1"]);
    }

    #[test]
    fn a_manager_that_is_gone_or_does_not_read_holds_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(path.to_str().unwrap(), Some(Duration::from_secs(9)));
        for _ in 0..10_000 {
            notifier.alive();
        }
        drop(manager);
        notifier.alive();
        Notifier::new("", None).ready();
        Notifier::default().stopping();
    }
}
