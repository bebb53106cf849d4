//! The program as people run it, and what it writes.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The program, with no environment but what a test gives it, in an empty folder.
pub(crate) fn program(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    command.env_clear().current_dir(folder.path()).stdin(Stdio::null());
    command
}

/// A client that no proxy of the environment stands before.
pub(crate) fn client() -> Client {
    Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

/// Asks P000123's question with some fields changed; status and body, or none where there is no answer.
pub(crate) async fn try_ask(url: &str, changed: Value) -> Option<(u16, Value)> {
    let mut body = json!({ "patient_mrn": "P000123", "query": "What are my current medications?" });
    body.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    let response = client().post(url).json(&body).send().await.ok()?;
    Some((response.status().as_u16(), response.json().await.ok()?))
}

/// A running server. It is killed when it is dropped.
pub(crate) struct Process {
    pub(crate) port: u16,
    pub(crate) admin_port: u16,
    child: Child,
    written: Vec<JoinHandle<String>>,
    _folder: TempDir,
}

impl Process {
    /// Starts the server on a free port, in the mode `mock` unless another is given, and waits until it serves.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::run(program(&folder), folder, variables)
    }

    /// As [`Process::start`], under the limits that a shell sets.
    pub(crate) fn limited(limits: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(folder.path()).stdin(Stdio::null());
        command.args(["-c", &format!("{limits}; exec \"$0\""), env!("CARGO_BIN_EXE_chat-server")]);
        Self::run(command, folder, variables)
    }

    fn run(mut command: Command, folder: TempDir, variables: &[(&str, &str)]) -> Self {
        command.env("CHAT_API_HOST", "127.0.0.1").env("CHAT_API_PORT", "0").env("CHAT_ADMIN_PORT", "0");
        command.env("LOG_FORMAT", "json").env("DEFAULT_LLM_MODE", "mock");
        command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (serving, ports) = channel();
        let mut stdout = child.stdout.take().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let written = vec![
            spawn(move || {
                let mut text = String::new();
                stdout.read_to_string(&mut text).unwrap();
                text
            }),
            spawn(move || {
                let mut text = String::new();
                for line in stderr.lines().map_while(Result::ok) {
                    if let Some(ports) = ports_in(&line) {
                        let _ = serving.send(ports);
                    }
                    text.push_str(&line);
                    text.push('\n');
                }
                text
            }),
        ];
        let (port, admin_port) = wait_for(&ports);
        Self { port, admin_port, child, written, _folder: folder }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// As [`try_ask`], of this server, which answers.
    pub(crate) async fn ask(&self, changed: Value) -> (u16, Value) {
        try_ask(&self.url("/triage"), changed).await.expect("the server answers")
    }

    /// Status and JSON of a path.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let response = client().get(self.url(path)).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// The stored conversation of an answer.
    pub(crate) async fn log_of(&self, answer: &Value) -> Value {
        self.get(&format!("/chat-logs/{}", answer["conversation_id"].as_str().unwrap())).await.1
    }

    /// Sends a signal, for example `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; the exit status and everything that was written.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let written = self.written.drain(..).map(|reader| reader.join().unwrap()).collect();
        (status, written)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for(ports: &Receiver<(u16, u16)>) -> (u16, u16) {
    ports.recv_timeout(Duration::from_secs(30)).expect("the server says its ports")
}

/// The ports for people and for operators in the line that says "serving", in either form of the log.
fn ports_in(line: &str) -> Option<(u16, u16)> {
    let (_, fields) = line.split_once("serving")?;
    let port = |name: &str| {
        let (_, port) = fields.split_once(&format!(" {name}=")).or_else(|| line.split_once(&format!("\"{name}\":")))?;
        port.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    Some((port("port")?, port("admin_port")?))
}
