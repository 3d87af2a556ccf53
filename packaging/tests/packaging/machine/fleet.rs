//! Both packages on a booted machine, set up as the page on operations says, beside one ComfyUI that is simulated.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::super::built::{picture, program};
use super::super::wait::until;
use super::booted::{ADDRESS, Machine, Said};

/// Where the ComfyUI is, that stands on the machine: the port of the other is its agent's own.
const COMFYUI_PORT: u16 = 8200;

const AGENT: &str = "ORCHESTRATOR_AGENT_LISTEN=0.0.0.0:9188
ORCHESTRATOR_AGENT_TOKEN_FILE=/etc/orchestrator-agent/token
ORCHESTRATOR_AGENT_COMFYUI=http://127.0.0.1:8200
";

const AGENTS_TOKEN: &str = "the-token-of-the-agents";

pub(crate) const COLLECTOR: &str = "listen = '0.0.0.0:8288'
token_file = '/etc/orchestrator-collector/tokens.toml'
agent_token_file = '/etc/orchestrator-collector/agent-token'
insecure = true     # a token, and no TLS
poll_interval = '200ms'

[[backend]]
name = 'beside'
url = 'http://127.0.0.1:8200'
agent = 'http://127.0.0.1:9188'
";

pub(crate) struct Fleet {
    comfyui: Child,
    token: String,
    pub(crate) machine: Machine,
}

impl Fleet {
    /// Installed, set up and started: the collector answers, and its backend takes jobs.
    pub(crate) fn of(tree: &Path, packages: &Path) -> Self {
        let machine = Machine::boot(tree, packages);
        machine.says("dpkg --install /packages/*.deb");
        let arguments = ["--servers=1".to_owned(), format!("--port={COMFYUI_PORT}")];
        let mut comfyui = machine.beside(&program("sim"));
        let comfyui = comfyui.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let token = set_up(&machine);
        let fleet = Self { comfyui, token, machine };
        fleet.machine.says("systemctl enable --now orchestrator-agent orchestrator-collector");
        fleet.takes_jobs();
        fleet
    }

    pub(crate) fn takes_jobs(&self) {
        until("the backend takes jobs, and its agent answers", || {
            let backend = &self.backends()[0];
            (backend["takes_jobs"] == true && backend["agent_state"] == "up").then_some(())
        });
    }

    pub(crate) fn backends(&self) -> Value {
        let asked = self.ask(8288, "/orchestrator/v1/backends");
        serde_json::from_str::<Value>(&asked.body).map_or(json!([{}]), |fleet| fleet["backends"].clone())
    }

    /// `GET`, from outside, with the token of whichever program it is.
    pub(crate) fn ask(&self, port: u16, path: &str) -> Answer {
        let token = if port == 9188 { AGENTS_TOKEN } else { &self.token };
        self.ask_as(token, port, path)
    }

    pub(crate) fn ask_as(&self, token: &str, port: u16, path: &str) -> Answer {
        let script = format!(
            "exec 3<>/dev/tcp/{ADDRESS}/{port} && printf 'GET {path} HTTP/1.0\\r\\nAuthorization: Bearer %s\\r\\n\\r\\n' \"$1\" >&3 && cat <&3"
        );
        let said = Said::of(self.machine.outside("bash").args(["-c", &script, "ask", token]));
        let (head, body) = said.text.split_once("\r\n\r\n").unwrap_or((&said.text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Answer { status: status.filter(|_| said.success), body: body.to_owned() }
    }

    /// The installed program, as a client on the machine.
    pub(crate) fn collector(&self, command: &str) -> String {
        self.machine.says(&format!("orchestrator-collector {command} --token-file /root/token"))
    }

    /// Submits a picture from outside, follows it, and lists what came.
    pub(crate) fn pictures_outside(&self) -> Said {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("token"), &self.token).unwrap();
        fs::write(path("prompt.json"), picture(0).to_string()).unwrap();
        let mut client = self.machine.outside(program("orchestrator-collector"));
        client.args(["submit", "--follow", "--server", &format!("http://{ADDRESS}:8288")]);
        client
            .arg("--token-file")
            .arg(path("token"))
            .arg("--out")
            .arg(path("pictures"))
            .arg(path("prompt.json"));
        let said = Said::of(&mut client);
        assert!(said.success, "{}", said.text);
        Said::of(Command::new("ls").arg(path("pictures")))
    }

    /// Submits a picture that takes so many seconds, and gives the job's id.
    pub(crate) fn submit(&self, seconds: u32) -> String {
        self.machine.write("/root/prompt.json", &picture(seconds).to_string());
        self.collector("submit /root/prompt.json")
    }

    /// The ids of jobs in a state.
    pub(crate) fn jobs(&self, state: &str) -> Vec<String> {
        let list = self.collector(&format!("jobs --json --state {state}"));
        let list: Value = serde_json::from_str(&list).unwrap();
        list["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    }

    /// A property of a unit.
    pub(crate) fn show(&self, unit: &str, property: &str) -> String {
        self.machine.says(&format!("systemctl show --value --property={property} {unit}"))
    }

    /// Waits until a service runs under another process than this one.
    pub(crate) fn runs_anew(&self, unit: &str, before: &str) {
        until(&format!("{unit} runs anew"), || {
            let anew = self.show(unit, "MainPID") != before && self.show(unit, "ActiveState") == "active";
            anew.then_some(())
        });
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.comfyui.kill();
        let _ = self.comfyui.wait();
    }
}

/// What came back; no status where there was no answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: Option<u16>,
    pub(crate) body: String,
}

/// Writes settings and tokens as the page on operations says; the collector's token.
fn set_up(machine: &Machine) -> String {
    for (file, group) in [
        ("/etc/orchestrator-agent/token", "orchestrator-agent"),
        ("/etc/orchestrator-collector/agent-token", "orchestrator-collector"),
    ] {
        machine.write(file, AGENTS_TOKEN);
        machine.says(&format!("chmod 0640 {file} && chgrp {group} {file}"));
    }
    machine.write("/etc/orchestrator-agent/agent.env", AGENT);
    machine.write("/etc/orchestrator-collector/collector.toml", COLLECTOR);
    let tokens = "/etc/orchestrator-collector/tokens.toml";
    let said = machine.says(&format!(
        "orchestrator-collector token --name admin --role admin >>{tokens} && \
         chmod 0640 {tokens} && chgrp orchestrator-collector {tokens}"
    ));
    let token = said.lines().last().unwrap().to_owned();
    machine.write("/root/token", &token);
    machine.says("sh -c 'set -a; . /etc/orchestrator-agent/agent.env; exec orchestrator-agent --check'");
    machine.says(
        "runuser -u orchestrator-collector -- orchestrator-collector check-config \
         --config /etc/orchestrator-collector/collector.toml",
    );
    token
}
