//! A server of somebody else's as a process: a free port of its own on loopback, gone when it is dropped, or when this
//! process is.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub struct Served {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Served {
    /// A port for a server that keeps its things in this folder.
    pub fn over(folder: TempDir) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Self { folder, port, process: None }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts the server and waits until it answers.
    pub async fn start(&mut self, server: &Command, longest: Duration, answers: impl AsyncFn() -> bool) {
        let log = self.folder().join("log");
        let output = fs::File::create(&log).unwrap();
        let mut shell = Command::new("sh");
        // Were this process killed, its end of the pipe would close and the server go too.
        shell
            .args(["-c", "\"$@\" & server=$!; read -r _; kill -9 $server; wait $server", "sh"])
            .arg(server.get_program())
            .args(server.get_args())
            .envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(server.get_current_dir().unwrap_or(Path::new(".")))
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        self.process = Some(shell.spawn().unwrap());
        let began = Instant::now();
        while !answers().await {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            let program = server.get_program().display();
            assert!(began.elapsed() < longest, "{program} does not answer: {}", said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends the server; what it keeps stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // the shell ends the server when its input ends, and then itself
            drop(process.stdin.take());
            process.wait().unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}
